from __future__ import annotations

from typing import Any

import pytest

from htga_client.wire import Quantiles, Status
from htga_dashboard.pages.health import page as health
from tests.dashboard.pages.test_pages import texts


def status(**other: Any) -> Status:
    known: dict[str, Any] = {
        "version": "1.0",
        "uptime_s": 7200.0,
        "database": "sqlite",
        "database_bytes": 3 * 2**20,
        "runs": 5,
        "running": 2,
        "rows_total": 12_345,
        "rows_per_s": 10.0,
        "queue": 0,
        "commit_ms": Quantiles(p50=2.0, p95=9.0),
        "live_clients": 1,
        "last_write_s": 0.4,
        "disk_free": 50 * 2**30,
    }
    return Status(**known | other)


def verdicts(now: Status) -> dict[str, str]:
    return {reading.name: reading.verdict for reading in health.readings(now) if reading.verdict}


def test_a_healthy_collector_is_well() -> None:
    assert set(verdicts(status()).values()) == {"good"}


@pytest.mark.parametrize(
    ("sick", "name", "verdict"),
    [
        ({"queue": 1000}, "queue", "warn"),
        ({"commit_ms": Quantiles(p50=2.0, p95=9000.0)}, "commit, median", "warn"),
        ({"disk_free": 2 * 2**30}, "disk free", "warn"),
        ({"disk_free": 1000}, "disk free", "bad"),
        ({"archive_damaged": 3, "archive_faults": ("it is missing",)}, "archive", "bad"),
    ],
)
def test_what_is_not_well_stands_out(sick: dict[str, Any], name: str, verdict: str) -> None:
    found = verdicts(status(**sick))
    assert found.pop(name) == verdict
    assert set(found.values()) == {"good"}


def test_a_collector_that_has_stored_nothing_has_numbers_too() -> None:
    new = status(commit_ms=Quantiles(p50=None, p95=None), last_write_s=None, uptime_s=3.0)
    said = " ".join(texts(part) for part in health.shown(new))
    assert "last row never" in said
    assert "up for 3 s" in said
