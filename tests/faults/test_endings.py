"""However a script ends, it ends as it would without telemetry, and its rows arrive."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.test_trainer_killed import deliver
from tests.support.faulty_collector import FaultyCollector
from tests.support.processes import PuttingRows
from tests.support.seeded_random import LONG

ENDINGS = {
    "the last line": "",
    "sys.exit": "import sys; sys.exit(3)",
    "an exception": "raise KeyError('oops')",
    "sys.exit in a thread": (
        "import sys, threading; t = threading.Thread(target=sys.exit); t.start(); t.join()"
    ),
    "an exception in a thread": (
        "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    ),
    "os._exit": "import os; os._exit(4)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "SIGINT": "import signal; signal.raise_signal(signal.SIGINT)",
    "no memory": (
        "import resource\n"
        "most = int(open('/proc/self/statm').read().split()[0]) * 4096 + (1 << 26)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "x = bytearray(1 << 28)"
    ),
}
SUDDEN = {"os._exit", "SIGTERM", "no memory"}
"""Nothing, or nothing that needs memory, runs after these: the last ten milliseconds are lost."""


def without_telemetry(ending: str) -> tuple[int, list[str]]:
    """Exit status and stderr of the same ending in a script without telemetry."""
    script = Path(__file__).parents[1] / "support" / "run_ending.py"
    done = subprocess.run(
        [sys.executable, str(script), ending], capture_output=True, text=True, check=False
    )
    return done.returncode, words(done.stderr)


def words(said: str) -> list[str]:
    """What a script says, but for telemetry's own lines and where in the file it happened."""
    return [
        line
        for line in said.splitlines()
        if not line.startswith("htga:")
        and not {"File", "exec("} & set(line.replace("exec(", "exec( ").split())
        and line.strip(" ^~")
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_as_without_telemetry_and_its_rows_arrive(
    tmp_path: Path, faulty: FaultyCollector, ending: str
) -> None:
    process = PuttingRows(faulty.url, tmp_path / "spool", 0, 50, ENDINGS[ending])
    with ThreadPoolExecutor(1) as beside:
        bare = beside.submit(without_telemetry, ENDINGS[ending])
        status, said = process.ended()
    assert (status, words(said)) == bare.result()
    deliver(tmp_path / "spool", faulty.url)
    steps = faulty.steps()
    assert steps == list(range(len(steps)))
    if ending not in SUDDEN:
        assert len(steps) == 50


def test_control_a_handler_that_changes_the_exit_status_is_noticed(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    handler = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    process = PuttingRows(faulty.url, tmp_path / "spool", 0, 50, handler + ENDINGS["SIGTERM"])
    status, said = process.ended()
    assert (status, words(said)) != without_telemetry(ENDINGS["SIGTERM"])


LATE = """
import atexit, gc, sys, threading, time
class Late:
    def __init__(self):
        self.me = self
    def __del__(self):
        put(1000)
keep = [Late() for _ in range(3)]
del keep
gc.collect()
alive = Late()
atexit.register(put, 1001)
def go_on():
    for i in range(2000, 10**9):
        put(i)
        time.sleep(0.0005)  # or the queue is full, and rows are dropped
threading.Thread(target=go_on, daemon=True).start()
time.sleep(0.05)
"""


@pytest.mark.parametrize("collector", ["up", "gone"])
def test_rows_put_while_the_interpreter_ends_break_nothing(
    tmp_path: Path, faulty: FaultyCollector, collector: str
) -> None:
    if collector == "gone":
        faulty.stop()
    for _ in range(50 if LONG else 2):
        process = PuttingRows(faulty.url, tmp_path / "spool", 0, 50, LATE)
        status, said = process.ended()
        assert (status, words(said)) == (0, [])
    if collector == "up":
        assert set(range(50)) | {1000} <= set(faulty.steps())


def test_control_a_thread_that_the_interpreter_waits_for_would_hang_the_end() -> None:
    forever = "import threading; threading.Thread(target=threading.Event().wait).start()"
    process = PuttingRows("-", "-", 0, 1, forever)
    with pytest.raises(subprocess.TimeoutExpired):
        process.process.wait(timeout=3)
    os.kill(process.process.pid, 9)
    process.ended()


def test_a_run_that_never_reaches_its_collector_ends_and_says_where_its_rows_are(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    faulty.stop()
    process = PuttingRows(faulty.url, tmp_path / "spool", 0, 50)
    status, said = process.ended()
    assert status == 0
    assert (
        f"50 rows stay on disk; the next run delivers them, or: htga sync --dir {tmp_path}" in said
    )
