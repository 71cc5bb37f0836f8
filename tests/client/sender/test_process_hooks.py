"""Only an exception that ends the process counts as its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

BEGIN = """\
import atexit, sys
from htga_client.sender.process_hooks import uncaught_exception
atexit.register(lambda: print("ended by", type(uncaught_exception()).__name__, file=sys.__stdout__))
"""
CAUGHT = """\
try:
    1 / 0
except ZeroDivisionError:
    sys.last_type, sys.last_value, sys.last_traceback = sys.exc_info()
"""
CONSOLE = "import code, io; sys.stdin = io.StringIO('1/0'); code.interact(local=globals())\n"
TYPED = "import code; code.InteractiveInterpreter(globals()).runsource('1/0')\n"
CELL = (
    "from IPython.core.interactiveshell import InteractiveShell\n"
    "InteractiveShell.instance().run_cell('1/0')\n"
)
GOES_ON = {
    "the last line": "",
    "sys.exit": "sys.exit(3)",
    "a value set by hand": "sys.last_value = KeyError()",
    "a caught exception, set by hand": CAUGHT,
    "a caught exception, and an exit": CAUGHT + "sys.exit(0)",
    "a caught exception in a function": "def f():\n    " + CAUGHT.replace("\n", "\n    ") + "\nf()",
    "an exception in a thread": (
        "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    ),
    "an exception typed at a console": CONSOLE,
    "an exception in an interpreter": TYPED,
    "an exception in a cell": CELL,
}
ENDS = {
    "raise": "raise KeyError",
    "in a function": "def f(): {}[0]\nf()",
    "through finally": "try:\n    {}[0]\nfinally:\n    x = [i for i in range(3)]",
    "through with": "with open(sys.executable):\n    {}[0]",
    "raised again": "try:\n    {}[0]\nexcept KeyError:\n    print()\n    raise",
    "raised again by name": "try:\n    {}[0]\nexcept KeyError as e:\n    print()\n    raise e",
    "from another": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError from e",
    "in asyncio": "import asyncio\nasync def f(): {}[0]\nasyncio.run(f())",
    "after one that was caught": CAUGHT + "{}[0]",
    "after one at a console": CONSOLE + "{}[0]",
    "after one in an interpreter": TYPED + "{}[0]",
    "after one in a cell": CELL + "{}[0]",
}


def ended_by(*arguments: str, typed: str = "", cwd: Path | None = None) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, input=typed, cwd=cwd
    )
    (line,) = [line for line in done.stdout.splitlines() if "ended by" in line]
    return line.split()[-1]


def as_file(script: str, folder: Path) -> str:
    (folder / "script.py").write_text(script)
    return ended_by(str(folder / "script.py"))


def as_module(script: str, folder: Path) -> str:
    (folder / "as_module.py").write_text(script)
    return ended_by("-m", "as_module", cwd=folder)


STARTS: dict[str, Callable[[str, Path], str]] = {
    "file": as_file,
    "-m": as_module,
    "-c": lambda script, _: ended_by("-c", script),
    "stdin": lambda script, _: ended_by("-", typed=script),
}


@pytest.mark.parametrize("start", STARTS)
def test_only_an_exception_that_ends_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    scripts = {**GOES_ON, **ENDS}
    if start == "stdin":  # the consoles read it, too
        scripts = {name: script for name, script in scripts.items() if "console" not in name}
    folders = [tmp_path / str(number) for number in range(len(scripts))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as beside:
        run = [BEGIN + script for script in scripts.values()]
        found = dict(zip(scripts, beside.map(STARTS[start], run, folders), strict=True))
    assert found == {name: "KeyError" if name in ENDS else "NoneType" for name in scripts}


@pytest.mark.parametrize(
    ("script", "typed"), [("1 / 0", ""), ("", "1 / 0\n"), ("", "{}[0]\nx = 1\n")]
)
def test_what_is_typed_at_a_prompt_does_not_end_the_process(script: str, typed: str) -> None:
    assert ended_by("-i", "-c", BEGIN + script, typed=typed) == "NoneType"


def test_what_is_typed_at_a_terminal_does_not_end_the_process() -> None:
    terminal, other = os.openpty()
    with subprocess.Popen([sys.executable, "-q"], stdin=other, stdout=subprocess.PIPE) as python:
        os.write(terminal, f"{BEGIN}1 / 0\n\x04".encode())
        said, _ = python.communicate(timeout=60)
    os.close(terminal)
    os.close(other)
    assert b"ended by NoneType" in said
