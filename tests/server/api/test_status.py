"""What a collector says of itself, on SQLite and on Postgres."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx2
import sqlalchemy as sa

from htga_client import Client
from htga_server.http.rolling_window import RollingWindow
from htga_server.http.server import Server
from htga_server.settings import Settings
from htga_server.storage.tables import runs
from tests.support.rows import new_run

Post = Callable[..., httpx2.Response]


def test_runs_and_rows_are_counted_as_they_come_and_go(
    api: httpx2.Client, collector: Server, run_id: str, post: Post
) -> None:
    with Client(collector.url) as client:
        empty = client.status()
        assert (empty.runs, empty.running, empty.rows_total, empty.last_write_s) == (1, 1, 0, None)
        assert (empty.rows_per_s, empty.queue, empty.live_clients) == (0.0, 0, 0)
        rows = [{"step": s, "layer": x, "alpha_hat": 1.0} for s in range(50) for x in ("", "a")]
        writer = str(uuid.uuid4())
        for _ in range(2):  # a repetition counts once
            post(rows, writer=writer)
        post([{"step": 60, "metrics": [("loss", 1.0)]}, {"step": -1}], writer=writer, first_seq=100)
        other = new_run(project="other")
        api.post("/runs", json=other)
        api.post(f"/runs/{other['id']}/finish", json={})
        full = client.status()
        assert (full.runs, full.running, full.rows_total) == (2, 1, 101)
        assert full.rows_per_s > 0
        assert full.commit_ms.p50 is not None
        assert full.commit_ms.p50 > 0
        assert full.last_write_s is not None
        assert 0 <= full.last_write_s < 60
        assert (full.database_bytes > 0, full.disk_free > 0) == (True, True)
        assert full.uptime_s > empty.uptime_s
        silent = sa.update(runs).values(updated=time.time() - 500, created=time.time() - 900)
        collector._app.state.database.write_now(lambda connection: connection.execute(silent))
        assert client.status().running == 0
        api.post(f"/runs/{run_id}/heartbeat")
        assert client.status().running == 1
        api.delete(f"/runs/{run_id}")
        assert (client.status().runs, client.status().rows_total) == (1, 0)
        with api.stream("GET", "/live") as live:
            lines = live.iter_lines()  # the stream ends with it
            assert next(lines) == ": open"
            assert client.status().live_clients == 1


def test_a_number_counts_for_a_while_and_no_longer() -> None:
    now = 0.0
    recent = RollingWindow(60, clock=lambda: now)
    recent.add(1.0)
    now = 59.0
    recent.add(2.0)
    assert recent.values() == [1.0, 2.0]
    now = 60.0
    assert recent.values() == [2.0]


def test_free_disk_is_known_before_the_data_folder_exists(tmp_path: Path) -> None:
    assert Settings(data=tmp_path / "not" / "yet").disk == tmp_path
