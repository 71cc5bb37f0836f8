"""Monitor runs as rows arrive: for divergence, and for the rules of their projects.

Rows are inspected after they were stored and acknowledged, outside the path of ingest. A stored
event is not stored again, so inspecting rows twice does no harm. After a start, the latest steps
of recently updated runs are inspected once more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from htga_client.wire import Event
from htga_server.alerts import conditions, rules
from htga_server.alerts.conditions import Detector
from htga_server.alerts.evaluate import Detection, detect, watched_series
from htga_server.alerts.webhook_queue import WebhookQueue
from htga_server.ingest.store import StepRanges
from htga_server.live.broker import Broker
from htga_server.problems import NotFound, ServerError
from htga_server.runs import events
from htga_server.runs.events import NewEvent
from htga_server.runs.lookup import NOT_DELETED, lock
from htga_server.storage.database import Database
from htga_server.storage.tables import runs, tracks
from htga_server.timeseries.raw_rows import StoredRows

logger = logging.getLogger(__name__)
INTERVAL = 0.5
"""Seconds between two batches."""
REST_FACTOR = 5.0
"""Seconds of rest for each second of work, so that ingest keeps its share of the machine."""
RECENT_SECONDS = 24 * 3600.0
RECENT_STEPS = 1000
"""After a start, so many steps are inspected of runs that were updated within that time."""
DIVERGENCES = tuple(map(conditions.divergence, (*conditions.LOSSES, *conditions.GRADIENTS)))


class Inspection(NamedTuple):
    """A run, and what the detectors found in it."""

    project: str
    name: str
    last_step: int | None
    found: list[Detection]


class RunMonitor:
    """Inspects queued runs, batch by batch.

    Args:
        broker: Publishes the runs with new events.
        webhooks: Sends new events to the webhooks of their rules.
    """

    def __init__(self, database: Database, broker: Broker, webhooks: WebhookQueue) -> None:
        self._database = database
        self._broker = broker
        self._webhooks = webhooks
        self._queued: dict[str, StepRanges] = {}
        self._wake = asyncio.Event()

    def enqueue(self, run_id: str, steps: Mapping[int, tuple[int, int]]) -> None:
        """Queue the steps of a run that were just stored."""
        known = self._queued.setdefault(run_id, {})
        for rank, (first, last) in steps.items():
            start, end = known.get(rank, (first, last))
            known[rank] = min(start, first), max(end, last)
        self._wake.set()

    async def run(self) -> None:
        """Inspect runs until cancelled."""
        await self._try(self.catch_up)
        while True:
            await self._wake.wait()
            await asyncio.sleep(INTERVAL)
            self._wake.clear()
            if not await self._try(self.run_once):
                self._wake.set()

    async def catch_up(self) -> None:
        """Queue the latest steps of recently updated runs."""
        for run_id, steps in (await self._database.read(_recent)).items():
            self.enqueue(run_id, steps)

    async def run_once(self) -> None:
        """Inspect everything queued so far."""
        by_project: dict[str, list[Detector]] = defaultdict(list)
        for rule in await self._database.read(partial(rules.listing, enabled=True)):
            by_project[rule.project].append(conditions.from_rule(rule))
        queued, self._queued = self._queued, {}
        for run_id, steps in queued.items():
            begin = time.perf_counter()
            if not await self._try(partial(self._process, run_id, steps, by_project)):
                self.enqueue(run_id, steps)
            await asyncio.sleep(REST_FACTOR * (time.perf_counter() - begin))

    async def _process(
        self, run_id: str, steps: StepRanges, by_project: Mapping[str, list[Detector]]
    ) -> None:
        inspect = partial(_inspect, run_id=run_id, steps=steps, by_project=by_project)
        run = await self._database.read(inspect)
        if run is None or not run.found:
            return
        new = await self._database.write(partial(_store, run_id=run_id, found=run.found))
        if new:
            self._broker.publish("rows", run_id, step=run.last_step)
        for one in new:
            if one.detector.webhook is not None:
                message = {
                    "rule": one.detector.title,
                    "level": one.detector.level(one.value),
                    "project": run.project,
                    "run_id": run_id,
                    "run": run.name,
                    "rank": one.series.rank,
                    "step": one.step,
                    "text": f"{run.name}, step {one.step}: {one.detector.text(one.value)}",
                }
                self._webhooks.send(one.detector.webhook, message)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work`; return False if it should be tried again in the next batch."""
        try:
            await work()
        except NotFound:
            return True
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, ServerError) as error:
            logger.warning("runs are not monitored for now: %s", error)
            return False
        except Exception:  # a fault of ours with one run must not end the monitoring of all
            logger.exception("monitoring failed")
        return True


def _inspect(
    connection: sa.Connection,
    run_id: str,
    steps: StepRanges,
    by_project: Mapping[str, list[Detector]],
) -> Inspection | None:
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, NOT_DELETED)).one_or_none()
    if row is None:
        return None
    wanted = [*DIVERGENCES, *by_project.get(row.project, ())]
    found = [
        one
        for series, detectors in watched_series(connection, row.run_key, wanted).items()
        if series.rank in steps
        for first, last in [steps[series.rank]]
        for one in detect(StoredRows(connection), series, detectors, first, last + 1)
    ]
    return Inspection(row.project, row.name, row.last_step, found)


def _store(connection: sa.Connection, run_id: str, found: list[Detection]) -> list[Detection]:
    """Store detections as events; return those that were not stored before."""
    run_key = lock(connection, run_id).run_key
    new: list[Detection] = []
    for attempt in sorted({one.attempt for one in found}):
        own = [one for one in found if one.attempt == attempt]
        new_events = [
            NewEvent(
                row=number,
                step=one.step,
                rank=one.series.rank,
                layer="",
                time=one.time,
                event=Event(
                    kind=one.detector.kind,
                    level=one.detector.level(one.value),
                    title=one.detector.title,
                    text=one.detector.text(one.value),
                ),
            )
            for number, one in enumerate(own)
        ]
        new += [own[one.row] for one in events.store_new(connection, run_key, attempt, new_events)]
    return new


def _recent(connection: sa.Connection) -> dict[str, StepRanges]:
    since = time.time() - RECENT_SECONDS
    rows = connection.execute(
        sa.select(runs.c.id, tracks.c.rank, sa.func.max(tracks.c.last_step))
        .join(tracks, tracks.c.run_key == runs.c.run_key)
        .where(NOT_DELETED, runs.c.updated >= since)
        .group_by(runs.c.id, tracks.c.rank)
    )
    found: dict[str, StepRanges] = defaultdict(dict)
    for run_id, rank, last in rows:
        found[run_id][rank] = max(0, last - RECENT_STEPS), last
    return found
