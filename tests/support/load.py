"""Load on a collector, with a record of what it acknowledged, and a check of what it kept."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx2

from htga_client.wire import ARROW_STREAM, PREFIX, histogram
from tests.support.collector import main as serve
from tests.support.forked import Forked
from tests.support.rows import new_run, stream
from tests.support.workers import Workers

ROOT = Path(__file__).parents[2]
BATCH = 20
MAX_ROWS = 20_000
"""Rows that one answer holds one by one."""
MAX_HISTOGRAMS = 2000
"""Histograms that one answer holds."""


def value(step: int) -> float:
    """What is measured at a step."""
    return math.sin(step) * 1e3


def blob(step: int) -> bytes:
    """The histogram of a step."""
    return histogram.encode([step + 1, 2, 3], bits=3, first=900)


class CollectorProcess:
    """`tests/support/collector.py`, on a port that stays the same when it is started again."""

    def __init__(self, data: Path, *sabotage: str, before: tuple[str, ...] = ()) -> None:
        self.data, self._sabotage, self._before = data, sabotage, before
        self.port = 0
        self.process: subprocess.Popen[str] | Forked | None = None

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it listens."""
        arguments = [str(self.data), str(self.port), *self._sabotage]
        if self._before:
            script = str(ROOT / "tests/support/collector.py")
            command = [*self._before, sys.executable, script, *arguments]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        else:
            self.process = Forked(serve, arguments)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("http"), said
        self.port = int(said.rsplit(":", 1)[1])

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running(data: Path, *sabotage: str, before: tuple[str, ...] = ()) -> Iterator[CollectorProcess]:
    """A collector process for the length of the block."""
    collector = CollectorProcess(data, *sabotage, before=before)
    collector.start()
    try:
        yield collector
    finally:
        collector.kill()


@dataclass
class Writer:
    """One process's stream of rows: a batch is sent again until it is acknowledged."""

    api: str
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    rank: int = 0
    acked: int = 0
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def register(self) -> None:
        """Make the run known."""
        new = new_run(id=self.run_id, writer=self.id)
        assert httpx2.post(f"{self.api}/runs", json=new, timeout=30).is_success

    def once(self, client: httpx2.Client) -> bool:
        """Try to send the next batch; True once it is acknowledged."""
        steps = range(self.acked, self.acked + BATCH)
        rows = [
            {
                "step": step,
                "rank": self.rank,
                "time": float(step),
                "alpha_hat": value(step),
                "histogram": blob(step),
                "metrics": [("loss", value(step))],
            }
            for step in steps
        ]
        self.sent = max(self.sent, steps.stop)
        body = stream(rows, writer=self.id, first_seq=self.acked)
        try:
            answer = client.post(
                f"{self.api}/runs/{self.run_id}/rows",
                content=body,
                headers={"content-type": ARROW_STREAM},
            )
        except httpx2.TransportError:
            return False
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        if not answer.is_success:
            self.answers.append({**answer.json(), "retry-after": answer.headers.get("retry-after")})
            if answer.json().get("type") == "sequence-gap":
                # The collector forgot what it acknowledged; `lost` will find out.
                self.acked = answer.json()["expected_seq"]
            return False
        receipt = answer.json()
        assert receipt["accepted"] + receipt["duplicates"] == BATCH, receipt
        self.acked = steps.stop
        return True


class Load(Workers):
    """Writers in threads, until the block ends; then each sends what it still has.

    Attributes:
        highest: By writer, the number of rows that were ever acknowledged.
    """

    def __init__(self, url: str, writers: int = 1, *, ranks: bool = False) -> None:
        run_id = str(uuid.uuid4())
        self.writers = [
            Writer(url + PREFIX, rank=rank, run_id=run_id if ranks else str(uuid.uuid4()))
            for rank in range(writers)
        ]
        self.highest = dict.fromkeys(range(writers), 0)
        super().__init__([partial(self._run, place) for place in range(writers)])
        self._moved = threading.Condition()

    def __enter__(self) -> Self:
        for writer in self.writers:
            writer.register()
        return super().__enter__()

    def _run(self, place: int) -> None:
        writer = self.writers[place]
        with httpx2.Client(timeout=10) as client:
            while True:
                last = self._stop.is_set()
                done = writer.once(client)
                with self._moved:
                    self.highest[place] = max(self.highest[place], writer.acked)
                    self._moved.notify_all()
                if done and last:
                    return
                self._stop.wait(0.002 if done else 0.05)

    def wait_for_more(self, rows: int = BATCH) -> None:
        """Wait until every writer has so many more rows acknowledged."""
        with self._moved:
            goal = {place: number + rows for place, number in self.highest.items()}
            assert self._moved.wait_for(
                lambda: all(self.highest[place] >= goal[place] for place in goal), 60
            ), "no progress"


def lost(url: str, load: Load) -> int:
    """How many acknowledged rows are missing; all that are there must be whole and single."""
    missing = 0
    with httpx2.Client(base_url=url + PREFIX, timeout=60) as client:
        for place, writer in enumerate(load.writers):
            steps = stored(client, writer)
            if not steps:
                missing += load.highest[place]
                continue
            missing += len(set(range(load.highest[place])) - set(steps))
            wanted = {step: step + 6 for step in steps}
            kept: dict[int, int] = {}
            for start in range(0, writer.sent, MAX_HISTOGRAMS):
                kept |= counted(client, writer, start=start, stop=start + MAX_HISTOGRAMS)
            other = {at: (kept.get(at), wanted.get(at)) for at in kept.keys() | wanted.keys()}
            other = {at: pair for at, pair in other.items() if len(set(pair)) > 1}
            assert not other, f"histograms and rows differ: {sorted(other.items())[:50]}"
            summed = sum(counted(client, writer).values())
            assert summed == sum(wanted.values()), "histograms and their sums differ"
            sql = f"SELECT count(*) FROM all_steps WHERE run_id = '{writer.run_id}'"  # noqa: S608
            if len({one.run_id for one in load.writers}) == len(load.writers):
                number = client.post("/query", json={"sql": sql}).json()["rows"]
                assert number == [[len(steps)]], "a row is stored twice"
    return missing


def stored(client: httpx2.Client, writer: Writer) -> list[int]:
    """The steps that are there, each of them read by itself."""
    steps: list[int] = []
    for start in range(0, writer.sent, MAX_ROWS):
        asked: dict[str, str | int] = {
            "keys": "alpha_hat,loss",
            "buckets": MAX_ROWS,
            "start": start,
        }
        asked["rank"] = writer.rank
        if start + MAX_ROWS < writer.sent:
            asked["stop"] = start + MAX_ROWS
        answer = client.get(f"/runs/{writer.run_id}/series", params=asked)
        if answer.status_code in {404, 422}:  # no run, or no key: nothing of it was kept
            continue
        found = answer.json()
        assert len(found["step"]) == len(set(found["step"])) == found["total"]
        for key in ("alpha_hat", "loss"):
            assert found["keys"][key]["last"] == [value(step) for step in found["step"]]
        steps += found["step"]
    assert set(steps) <= set(range(writer.sent)), "a row that was never sent"
    return steps


def counted(client: httpx2.Client, writer: Writer, **within: int) -> dict[int, int]:
    """By step, the number of entries in the histograms of each bucket."""
    asked = {"buckets": MAX_HISTOGRAMS, "bits": 3, "rank": writer.rank, **within}
    found = client.get(f"/runs/{writer.run_id}/histograms", params=asked).json()
    return dict(zip(found["step"], map(sum, found["counts"]), strict=True))


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    """Wait until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def recover(writer: Writer, client: httpx2.Client) -> None:
    """Send until it takes rows again."""
    wait_until(lambda: writer.once(client), 60)
