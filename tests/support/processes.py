"""`htga up` and a training run as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.preloaded import PRELOADED

ROOT = Path(__file__).parents[2]


class Collector:
    """`htga up`; `url` once it listens."""

    def __init__(
        self, data: Path, *flags: str, port: int = 0, before: tuple[str, ...] = ()
    ) -> None:
        command = ["-m", "htga.cli.main", "up", "--port", str(port), "--data", str(data), *flags]
        self.process = subprocess.Popen(
            [*before, sys.executable, *command], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("HTGA is on http://"), line
        self.url = line.split()[3]
        self.port = urlsplit(self.url).port or 0

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(how)
        assert self.process.wait(timeout=30) in {0, -how}
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def collecting(
    data: Path, *flags: str, port: int = 0, before: tuple[str, ...] = ()
) -> Iterator[Collector]:
    """A collector for the length of the block."""
    collector = Collector(data, *flags, port=port, before=before)
    try:
        yield collector
    finally:
        if collector.process.poll() is None:
            collector.end()


class Training:
    """`train_digits.py`, which pauses after some steps until it is told to go on."""

    def __init__(self, url: str, out: Path, *, steps: int, pause_at: int) -> None:
        self.out = out
        script = ROOT / "tests/support/train_digits.py"
        self.process = subprocess.Popen(
            [*PRELOADED, str(script), url, str(steps), str(pause_at), str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        word, self.run_id = self._said().split()
        assert word == "paused"

    def go_on(self) -> None:
        """End the pause."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def computed(self) -> list[dict[str, float]]:
        """Wait for the end; what the optimizer computed at each step."""
        assert self._said() == "finished\n"
        assert self.process.wait(timeout=60) == 0
        return list(json.loads(self.out.read_text()))

    def _said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def training(url: str, out: Path, *, steps: int, pause_at: int) -> Iterator[Training]:
    """A training run that has paused; killed with the block if it has not ended."""
    run = Training(url, out, steps=steps, pause_at=pause_at)
    with run.process:
        try:
            yield run
        finally:
            run.process.kill()


class PuttingRows:
    """`put_rows.py`; `run_id` once it has begun."""

    def __init__(
        self,
        url: str,
        folder: Path | str,
        rate: float,
        count: int,
        ending: str = "",
        before: str = "",
        **env: str,
    ) -> None:
        script = ROOT / "tests/support/put_rows.py"
        arguments = [url, str(folder), str(rate), str(count), ending]
        self.process = subprocess.Popen(
            [*before.split(), sys.executable, str(script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        )
        assert self.process.stdout is not None
        self.run_id = self.process.stdout.readline().strip()

    def kill_at(self, count: int) -> int:
        """Kill it with -9 once it says that its spool has so many rows; how many it says last."""
        assert self.process.stdout is not None
        spooled = 0
        for line in self.process.stdout:
            spooled = int(line.split()[1])
            if spooled >= count:
                self.process.kill()
        self.process.communicate()
        return spooled

    def ended(self) -> tuple[int, str]:
        """Wait for its end; exit status and what it said on stderr."""
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said
