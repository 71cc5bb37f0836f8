"""Rows that a dead process left on disk are all delivered before they are deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from htga_client import wire
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.orphans import OrphanDelivery, deliver_orphans
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import record_batch
from tests.support.faulty_collector import Fault, FaultyCollector, refuse


def leave_rows(folder: Path, url: str, *, first: int = 0) -> None:
    """Thirty rows in a spool whose process is gone."""
    run = wire.NewRun(id=str(uuid7()), project="p", name="n", writer=str(uuid7()))
    spool = Spool(lambda: SpoolDirectory.create(folder, run, url))
    spool.end = first
    spool.append(record_batch([{"step": step} for step in range(first, first + 30)]))
    spool.close()


def deliver(folder: Path, url: str) -> list[OrphanDelivery]:
    transport = HttpTransport(url)
    delivered = list(deliver_orphans(folder, transport, pause=lambda _: False))
    transport.close()
    return delivered


@pytest.mark.parametrize("faults", [[refuse(413)], [refuse(413)] * 3, [Fault(), refuse(413)]])
def test_orphans_that_are_too_large_for_a_request_are_halved(
    faulty: FaultyCollector, tmp_path: Path, faults: list[Fault]
) -> None:
    leave_rows(tmp_path, faulty.url)
    faulty.faults.extend(faults)
    (delivered,) = deliver(tmp_path, faulty.url)
    assert (delivered.acked, delivered.refused) == (30, 0)
    assert faulty.steps() == list(range(30))
    assert not list(tmp_path.rglob("*.seg"))


def test_orphans_whose_first_rows_were_dropped_arrive_after_a_gap(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    leave_rows(tmp_path, faulty.url, first=10)
    (delivered,) = deliver(tmp_path, faulty.url)  # refused once: the collector expects row 0
    assert (delivered.acked, delivered.refused) == (30, 0)
    assert faulty.steps() == list(range(10, 40))
    assert [(first, end) for _, first, end in faulty.gaps] == [(0, 10)]
    assert not list(tmp_path.rglob("*.seg"))
