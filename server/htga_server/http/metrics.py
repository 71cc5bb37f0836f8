"""Metrics of the collector itself, for Prometheus and for the status page."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from htga_client.wire import Quantiles, Receipt
from htga_server.archive.verification import Verification
from htga_server.http.rolling_window import RollingWindow
from htga_server.live.broker import Broker
from htga_server.storage.database import Database

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one collector. Labels name routes, never the paths of requests.

    Args:
        database, broker, verification: They supply gauges when the metrics are read.
    """

    def __init__(self, database: Database, broker: Broker, verification: Verification) -> None:
        self._started = time.monotonic()
        self._accepted, self._commits = RollingWindow(), RollingWindow()
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "htga_request_seconds",
            "Time to the end of an answer",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._rows = Counter(
            "htga_ingest_rows", "Rows by result", ("result",), registry=self._registry
        )
        self._gaps = Counter(
            "htga_gap_rows", "Rows that writers declared as lost", registry=self._registry
        )
        self._commit_seconds = Histogram(
            "htga_commit_seconds",
            "Time of a transaction, its commit included",
            buckets=SECONDS,
            registry=self._registry,
        )
        database.observe = self._commit
        self._gauge("htga_waiting_writes", "Writes that wait", lambda: database.waiting)
        self._gauge("htga_live_readers", "Open event streams", lambda: broker.subscriber_count)
        damaged = "Archived runs with a damaged file"
        self._gauge("htga_archive_damaged_runs", damaged, lambda: len(verification.faults))
        if database.dialect == "sqlite":
            log = Path(f"{database.url.database}-wal")
            size = "Size of SQLite's write-ahead log"
            self._gauge("htga_wal_bytes", size, lambda: log.stat().st_size if log.exists() else 0)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' format."""
        return generate_latest(self._registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def count_rows(self, receipt: Receipt, lost: int) -> None:
        """Count the rows of a receipt, and rows declared as lost."""
        for result, number in (
            ("accepted", receipt.accepted),
            ("duplicate", receipt.duplicates),
            ("rejected", len(receipt.rejected)),
        ):
            self._rows.labels(result).inc(number)
        self._gaps.inc(lost)
        self._accepted.add(receipt.accepted)

    def count_refused(self, rows: int) -> None:
        """Count rows that a full project refused."""
        self._rows.labels("no_room").inc(rows)

    @property
    def uptime(self) -> float:
        """Seconds since the collector started."""
        return time.monotonic() - self._started

    @property
    def rows_per_second(self) -> float:
        """Rows accepted per second, over the last minute."""
        return sum(self._accepted.values()) / min(self._accepted.seconds, max(self.uptime, 1.0))

    @property
    def commit_ms(self) -> Quantiles:
        """Time of a transaction, over the last minute."""
        seconds = self._commits.values()
        p50, p95 = np.quantile(seconds, [0.5, 0.95]).tolist() if seconds else (None, None)
        return Quantiles(p50=p50 and p50 * 1e3, p95=p95 and p95 * 1e3)

    def _commit(self, seconds: float) -> None:
        self._commit_seconds.observe(seconds)
        self._commits.add(seconds)

    def _gauge(self, name: str, what: str, value: object) -> None:
        Gauge(name, what, registry=self._registry).set_function(value)  # type: ignore[arg-type]
