"""What the commands print: for people, for programs, in every terminal."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.main import get_command

from htga.cli import formats
from htga.cli.main import app, main
from htga.cli.output import print_table, printable
from htga_server.http.server import Server
from tests.support.rows import new_run

HTGA = [sys.executable, "-m", "htga.cli.main"]
# A shell without job control starts what it runs in the background with SIGINT ignored.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from htga.cli.start import start
start()
"""
NAMES = ["maple", "maple", 'a "quoted" größe ±', "\x1b[2Jclear\nline", "0", "名前"]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is printed is the same for each kind of database."""
    return f"sqlite:///{tmp_path / 'htga.db'}"


@pytest.fixture
def ids(api: httpx2.Client, collector: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of runs with these names."""
    monkeypatch.setenv("HTGA_URL", collector.url)
    made = []
    for name in NAMES:
        run = new_run(name=name, config={"lr": 0.1, "net": {"width": [8, 16], "bias": None}})
        made.append(api.post("/runs", json=run).json()["id"])
        steps = (0, 1, 1234)
        rows = [{"step": i, "alpha_bar": 1.51234, "metrics": {"loss": 1.0}} for i in steps]
        api.post(f"/runs/{made[-1]}/rows", json={"rows": rows})
    return made


def in_terminal(*arguments: str, columns: int, **env: str) -> str:
    """What a command prints in a terminal so wide."""
    ours, theirs = pty.openpty()
    own = os.environ | {"COLUMNS": str(columns), "TERM": "dumb"} | env
    started = subprocess.Popen([*HTGA, *arguments], stdout=theirs, stderr=theirs, env=own)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert started.wait(60) == 0, said
    return said.decode()


def walk(command: Any, *path: str) -> Iterator[list[str]]:
    yield list(path)
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, *path, name)


def test_an_id_is_never_broken_and_no_control_character_passes(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for columns in (40, 12):
        said = in_terminal("runs", "ls", columns=columns)
        assert all(run_id in said for run_id in ids)
        assert "\x1b[2J" not in said
    for command in (["runs", "ls"], ["query", "SELECT 'longer text' AS t, id FROM runs"]):
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(ids) + 1
        assert all(any(run_id in line for line in lines) for run_id in ids)
        assert all(line.isprintable() for line in lines)


def test_a_run_is_named_by_its_id_its_beginning_or_its_name(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id, name in zip(ids, NAMES, strict=True):
        for wanted in (run_id, run_id.upper(), run_id[:30], *([name] if name != "maple" else ())):
            assert main(["runs", "show", wanted, "--json"]) == 0, wanted
            assert json.loads(capsys.readouterr().out)["id"] == run_id
    for command in (["runs", "show"], ["runs", "rm", "--yes"], ["archive", "create"]):
        assert main([*command, "maple"]) == 1
        stderr = capsys.readouterr().err
        assert "may be any of 2 runs" in stderr
        assert all(run_id in stderr for run_id in ids[:2])
        assert main([*command, "nowhere"]) == 1
        assert "there is no run 'nowhere'" in capsys.readouterr().err
    assert main(["runs", "rm", ids[0][:30], "--yes"]) == 0
    assert main(["runs", "restore", "maple"]) == 1
    assert "whole id" in capsys.readouterr().err
    assert main(["runs", "restore", ids[0]]) == 0


def test_people_read_words_and_programs_exact_values(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "show", ids[0]]) == 0
    said = capsys.readouterr().out
    assert re.search(r"last_step +1,234 *\n", said), said
    assert "1.512" in said
    assert "config.net.width" in said
    assert re.search(r"created +\d{4}-\d\d-\d\d .*\((now|\d+ \w+ ago)\)", said)
    assert not re.search(r"None|True|False|[({\[]['\"]|'\)", said), said
    assert main(["runs", "ls", "--json"]) == 0
    run = json.loads(capsys.readouterr().out)[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", run["created"])
    assert (run["last_step"], run["summary"]["alpha_bar"]) == (1234, 1.51234)


@pytest.mark.usefixtures("ids")
def test_a_query_says_when_rows_are_left_out_and_writes_csv(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    sql = "SELECT name, tags FROM runs ORDER BY created"
    assert main(["query", sql, "--csv"]) == 0
    said = capfdbinary.readouterr()
    rows = list(csv.reader(said.out.decode().splitlines(keepends=True)))
    assert [row[0] for row in rows] == ["name", *NAMES]
    assert said.err == b""
    out = tmp_path / "rows.csv"
    assert main(["query", sql, "--csv", "--out", str(out), "--limit", "2"]) == 0
    said = capfdbinary.readouterr()
    assert said.out == b""
    assert b"only the first 2 rows" in said.err
    assert out.read_text().splitlines()[0] == "name,tags"
    assert main(["query", sql, "--json", "--out", str(out)]) == 0
    assert [row["name"] for row in json.loads(out.read_text())] == NAMES
    capfdbinary.readouterr()
    assert main(["query", "SELECT range FROM range(20)", "--limit", "20", "--json"]) == 0
    said = capfdbinary.readouterr()
    assert (len(json.loads(said.out)), said.err) == (20, b"")
    assert main(["query", "SELECT 1", "--out", str(tmp_path / "no" / "x")]) == 1
    assert b"make it first" in capfdbinary.readouterr().err


def test_a_terminal_without_unicode_shows_all_that_it_can(ids: list[str]) -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for command in (
        ["runs", "ls"],
        ["runs", "show", ids[2]],
        ["runs", "show", NAMES[2]],
        ["runs", "ls", "-q", "größe"],
    ):
        ended = subprocess.run([*HTGA, *command], capture_output=True, env=env, check=False)
        assert b"Traceback" not in ended.stderr
        assert (ended.stdout + ended.stderr).isascii()
        assert (ended.returncode, ids[2].encode() in ended.stdout) == (0, True), ended.stderr


@pytest.mark.usefixtures("ids")
def test_a_closed_pipe_ends_a_command_without_a_word() -> None:
    long = ["query", "SELECT range AS a, range AS b FROM range(9000)"]
    for command in (long, [*long, "--json"], [*long, "--csv"], ["runs", "ls"], ["-h"]):
        started = subprocess.Popen(
            [*HTGA, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert started.stdout is not None
        assert started.stderr is not None
        if command[0] == "query":
            started.stdout.read(1)  # it is writing
        started.stdout.close()
        assert started.stderr.read() == b""
        started.stderr.close()
        started.wait(60)


@pytest.mark.usefixtures("ids")
def test_control_c_ends_a_command_with_130() -> None:
    command = ["levy", "exit-time", "--only", "E1", "--exits", "2000"]
    started = subprocess.Popen(
        [sys.executable, "-c", START, *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert started.stderr is not None
    started.stderr.read(1)  # the first sign of its progress
    started.send_signal(signal.SIGINT)
    said = started.stderr.read()
    started.stderr.close()
    assert (started.wait(60), b"Traceback" in said) == (130, False), said


def test_help_is_short_and_plain_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for path in walk(get_command(app)):
        said = []
        for flag in ("-h", "--help"):
            assert main([*path, flag]) == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
        assert said[0].startswith(f"Usage: {' '.join(['htga', *path])} ")
        assert said[0].isascii()
        listing = path[-1:] in (["ls"], ["status"], ["show"], ["query"], ["prune"], ["sync"])
        assert ("--json" in said[0]) or not listing, path
    assert main(["runs", "ls", "-h"]) == 0
    assert "the grammar of the page's" in " ".join(capsys.readouterr().out.split())
    assert main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_numbers_and_times_are_as_people_say_them() -> None:
    values = (None, True, 1234567, 1.5, 0.25, 1e-7, 12345.6, float("nan"))
    assert [formats.word(v) for v in values] == [
        "-", "yes", "1,234,567", "1.500", "0.25", "1.000e-07", "12,346", "nan",
    ]  # fmt: skip
    assert [formats.word(v) for v in ((), ["a", "b"], {}, {"a": 1})] == [
        "-",
        "a, b",
        "-",
        '{"a": 1}',
    ]
    apart = (0, 9, 11, 59, 60, 200, 3600, 90000, 200000, -7200)
    assert [formats.ago(1e9 - s, now=1e9) for s in apart] == [
        "now", "now", "11 s ago", "59 s ago", "1 min ago", "3 min ago", "1 hour ago", "1 day ago",
        "2 days ago", "in 2 hours",
    ]  # fmt: skip
    assert [formats.duration(s) for s in (None, 1.25, 61, 7265, 90000)] == [
        "-", "1.25 s", "1 min 1 s", "2 hours 1 min", "1 day 1 hour",
    ]  # fmt: skip
    assert [formats.size(n) for n in (10, 2048, 3 << 30)] == ["10 bytes", "2.0 KiB", "3.0 GiB"]


def test_what_would_move_the_cursor_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[31m\u202eb\u2028") == "a\\x1b[31m\\u202eb\\u2028"
    print_table(("one",), [("a\nb\r\x1b",)])
    assert capsys.readouterr().out.split() == ["one", "a\\nb\\r\\x1b"]
