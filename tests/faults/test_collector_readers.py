"""Many who read, and some for long, beside those who write."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import httpx2

from htga_client.wire import PREFIX
from tests.support.load import Load, lost, recover, running, wait_until
from tests.support.seeded_random import rounds
from tests.support.workers import Workers

MAX_LOG = 256 * 2**20
DASHBOARDS = 50


def test_a_reader_who_stays_long_holds_up_no_writer(tmp_path: Path) -> None:
    with running(tmp_path) as collector, Load(collector.url, writers=4) as load:
        load.wait_for_more()
        reader = sqlite3.connect(f"file:{tmp_path / 'htga.db'}?mode=ro", uri=True)
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM steps").fetchone()
        for _ in range(rounds(10, 600)):
            load.wait_for_more(100)
        assert reader.execute("SELECT count(*) FROM steps").fetchone() == before
        reader.close()
        load.wait_for_more(2000)
        assert (tmp_path / "htga.db-wal").stat().st_size <= MAX_LOG
        assert all(set(writer.statuses) == {200} for writer in load.writers)


class Dashboards(Workers):
    """Those who look at a run: each hears that something changed, and asks what."""

    def __init__(self, url: str, run_id: str) -> None:
        self._url, self._run_id = url + PREFIX, run_id
        self.statuses: Counter[int] = Counter()
        self.troubles: list[str] = []
        super().__init__([self._look] * DASHBOARDS)

    def _look(self) -> None:
        asked = {"keys": "alpha_hat,loss", "since": "0"}
        where = f"/runs/{self._run_id}/series"
        with (
            httpx2.Client(base_url=self._url, timeout=60) as client,
            client.stream("GET", "/live", params={"run": self._run_id}) as live,
        ):
            for line in live.iter_lines():
                if self._stop.wait(0.2):
                    return
                if not line.startswith("event:"):
                    continue
                for path, params in ((where, asked), ("/runs", {"limit": "20"})):
                    answer = client.get(path, params=params)
                    self.statuses[answer.status_code] += 1
                    if not answer.is_success:
                        self.troubles.append(answer.text)
                        continue
                    asked["since"] = answer.json().get("cursor") or asked["since"]


def test_fifty_dashboards_and_a_reader_who_stays_hold_up_no_writer_and_nobody_hears_of_locks(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as collector:
        with Load(collector.url, writers=2) as load:
            load.wait_for_more()
            reader = sqlite3.connect(f"file:{tmp_path / 'htga.db'}?mode=ro", uri=True)
            reader.execute("BEGIN")
            before = reader.execute("SELECT count(*) FROM steps").fetchone()
            with Dashboards(collector.url, load.writers[0].run_id) as dashboards:
                for _ in range(rounds(5, 200)):
                    load.wait_for_more(100)
                wait_until(lambda: sum(dashboards.statuses.values()) >= 4 * DASHBOARDS, 60)
                size = (tmp_path / "htga.db-wal").stat().st_size
            assert reader.execute("SELECT count(*) FROM steps").fetchone() == before
            reader.close()
        assert lost(collector.url, load) == 0
    print(f"{sum(dashboards.statuses.values()):,} answers, a log of {size / 2**20:.0f} MiB")
    assert dashboards.troubles == []
    assert set(dashboards.statuses) == {200}
    assert all(set(writer.statuses) == {200} for writer in load.writers)
    assert size <= MAX_LOG


def test_control_without_a_log_a_reader_who_stays_holds_up_writers(tmp_path: Path) -> None:
    with running(tmp_path, "locking") as collector:
        writer = Load(collector.url).writers[0]
        with httpx2.Client(timeout=30) as client:
            writer.register()
            assert writer.once(client)
            reader = sqlite3.connect(f"file:{tmp_path / 'htga.db'}?mode=ro", uri=True)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM steps").fetchone()
            assert not writer.once(client)
            assert "locked" in writer.answers[-1]["detail"]
            reader.close()
            recover(writer, client)
