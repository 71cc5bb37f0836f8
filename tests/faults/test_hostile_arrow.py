"""Arrow streams in which a few bytes were changed, as a hostile sender would post them."""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from htga_client.wire import ARROW_STREAM, PREFIX, histogram
from tests.support.load import CollectorProcess, running
from tests.support.rows import new_run, stream
from tests.support.seeded_random import LONG, rounds, seeded_random

CHANGED = rounds(600, 20_000)
"""Streams that are sent."""
MAX_MEMORY = 512 * 2**20
SAME = 7
"""Seed of the changes that are the same at every run."""
ODD = (0, 1, -1, 2**31 - 1, -(2**31), 255, 65_536)
"""What offsets, lengths and the like are changed to."""


def sound() -> list[bytes]:
    """Streams that are taken: with all kinds of columns full, with nulls in them, and numbered."""
    full = [
        {
            "step": step,
            "time": 2.0,
            "rank": step % 2,
            "layer": f"conv{step % 3}",
            "alpha_hat": 1.5,
            "k": 40,
            "histogram": histogram.encode([1, step + 1], bits=3, first=900),
            "metrics": [("loss", 0.1), ("accuracy", 1.0)],
            "event": json.dumps({"kind": "alert", "title": "look"}),
        }
        for step in range(20)
    ]
    sparse = [row if row["step"] in {3, 4, 9} else {"step": row["step"]} for row in full]
    return [stream(full), stream(sparse), stream(full, writer="w", first_seq=0)]


def changed(chance: random.Random) -> Iterator[bytes]:
    """Streams with one to four changes: of a byte, of a bit, or of four bytes that are a number."""
    bodies = sound()
    for _ in range(CHANGED):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            at, kind = chance.randrange(len(body) - 4), chance.randrange(3)
            if kind == 0:
                body[at] = chance.randrange(256)
            elif kind == 1:
                body[at] ^= 1 << chance.randrange(8)
            else:
                at -= at % 4
                body[at : at + 4] = chance.choice(ODD).to_bytes(4, "little", signed=True)
        yield bytes(body)


def beyond_memory() -> bytes:
    """A stream whose names of layers are said to end far behind everything that was sent."""
    body = bytearray(sound()[0])
    ends = struct.pack("<21i", *range(0, 105, 5))  # of twenty names of five letters
    at = body.index(ends) + len(ends) - 4
    body[at : at + 4] = (2**31 - 1).to_bytes(4, "little")
    return bytes(body)


def posted(collector: CollectorProcess, bodies: Iterable[bytes]) -> Counter[int]:
    """The answers by status."""
    said: Counter[int] = Counter()
    with httpx2.Client(base_url=collector.url + PREFIX, timeout=60) as client:
        rows = f"/runs/{client.post('/runs', json=new_run()).json()['id']}/rows"
        for body in bodies:
            answer = client.post(rows, content=body, headers={"content-type": ARROW_STREAM})
            said[answer.status_code] += 1
    return said


def most_memory(process: psutil.Process) -> int:
    """Bytes that were resident at the worst moment."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) * 1024


def test_a_changed_stream_is_read_or_refused_and_ends_no_collector(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        said = posted(collector, changed(seeded_random() if LONG else random.Random(SAME)))
        assert collector.process is not None
        peak = most_memory(psutil.Process(collector.process.pid))
    print(f"{CHANGED:,} changed streams: {dict(said)}, {peak / 2**20:.0f} MiB at most")
    assert said.keys() <= {200, 409, 413, 422}
    assert min(said[200], said[422]) > CHANGED / 10  # or the changes were too mild, or too wild
    assert peak < MAX_MEMORY


def test_names_that_end_behind_what_was_sent_are_refused(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        assert posted(collector, [beyond_memory()]) == {422: 1}


def test_control_one_that_believes_arrows_buffers_is_ended_by_a_signal(tmp_path: Path) -> None:
    with running(tmp_path, "unvalidated") as collector:
        with pytest.raises(httpx2.TransportError):
            posted(collector, [beyond_memory()])
        assert collector.process is not None
        assert collector.process.wait(60) < 0
