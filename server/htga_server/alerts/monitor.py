"""Watching runs as they come in: divergence, and what people made rules for.

It looks at rows after they were stored and acknowledged, beside the path of ingest. An event that
was written is what keeps it from being written again, so looking twice does no harm: after a
start, the latest steps of runs that were heard of lately are looked at anew.
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
from htga_server.alerts import conditions as alarms
from htga_server.alerts import evaluate as signals
from htga_server.alerts import rules
from htga_server.alerts.conditions import Alarm
from htga_server.alerts.evaluate import Found
from htga_server.alerts.webhook_queue import Messenger
from htga_server.ingest.store import Reach
from htga_server.live.broker import Broker
from htga_server.problems import NotFound, ServerError
from htga_server.runs import events
from htga_server.runs.events import Happened
from htga_server.runs.lookup import HERE, lock
from htga_server.storage.database import Database
from htga_server.storage.tables import runs, tracks

logger = logging.getLogger(__name__)
INTERVAL = 0.5
"""Seconds between two rounds."""
IDLE_FOR_BUSY = 5.0
"""Seconds of rest for each second of looking, so that ingest keeps its share of the machine."""
RECENT_SECONDS = 24 * 3600.0
RECENT_STEPS = 1000
"""What is looked at anew after a start: so many steps of runs that wrote within that time."""
DIVERGENCES = tuple(map(alarms.divergence, (*alarms.LOSSES, *alarms.GRADIENTS)))


class Seen(NamedTuple):
    """A run, and what was found in it."""

    project: str
    name: str
    last_step: int | None
    found: list[Found]


class Watch:
    """Looks at the runs that were noted, round by round.

    Args:
        broker: Told of runs with new events.
        messenger: Given what webhooks are to be told.
    """

    def __init__(self, database: Database, broker: Broker, messenger: Messenger) -> None:
        self._database = database
        self._broker = broker
        self._messenger = messenger
        self._noted: dict[str, Reach] = {}
        self._news = asyncio.Event()

    def note(self, run_id: str, reach: Mapping[int, tuple[int, int]]) -> None:
        """Have the steps of a run that were just stored looked at in the next round."""
        known = self._noted.setdefault(run_id, {})
        for rank, (first, last) in reach.items():
            low, high = known.get(rank, (first, last))
            known[rank] = min(low, first), max(high, last)
        self._news.set()

    async def run(self) -> None:
        """Rounds, until cancelled."""
        await self._try(self.look_back)
        while True:
            await self._news.wait()
            await asyncio.sleep(INTERVAL)
            self._news.clear()
            if not await self._try(self.round):
                self._news.set()

    async def look_back(self) -> None:
        """Note the latest steps of the runs that were heard of lately."""
        for run_id, reach in (await self._database.read(_recent)).items():
            self.note(run_id, reach)

    async def round(self) -> None:
        """Look at what was noted so far."""
        own: dict[str, list[Alarm]] = defaultdict(list)
        for rule in await self._database.read(partial(rules.listing, enabled=True)):
            own[rule.project].append(alarms.of_rule(rule))
        noted, self._noted = self._noted, {}
        for run_id, reach in noted.items():
            begin = time.perf_counter()
            if not await self._try(partial(self._look_at, run_id, reach, own)):
                self.note(run_id, reach)
            await asyncio.sleep(IDLE_FOR_BUSY * (time.perf_counter() - begin))

    async def _look_at(self, run_id: str, reach: Reach, own: Mapping[str, list[Alarm]]) -> None:
        seen = await self._database.read(partial(_look, run_id=run_id, reach=reach, own=own))
        if seen is not None and seen.found:
            await self._keep(run_id, seen)

    async def _keep(self, run_id: str, seen: Seen) -> None:
        new = await self._database.write(partial(_store, run_id=run_id, found=seen.found))
        if new:
            self._broker.publish("rows", run_id, step=seen.last_step)
        for one in new:
            if one.alarm.webhook is not None:
                message = {
                    "rule": one.alarm.title,
                    "level": one.alarm.level(one.value),
                    "project": seen.project,
                    "run_id": run_id,
                    "run": seen.name,
                    "rank": one.track.rank,
                    "step": one.step,
                    "text": f"{seen.name}, step {one.step}: {one.alarm.text(one.value)}",
                }
                self._messenger.send(one.alarm.webhook, message)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it is done with, and not to be tried again in the next round."""
        try:
            await work()
        except NotFound:
            return True
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, ServerError) as error:
            logger.warning("runs are not watched for now: %s", error)
            return False
        except Exception:  # a mistake of ours about one run must not end the watch over all
            logger.exception("watching failed")
        return True


def _look(
    connection: sa.Connection, run_id: str, reach: Reach, own: Mapping[str, list[Alarm]]
) -> Seen | None:
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, HERE)).one_or_none()
    if row is None:
        return None
    wanted = [*DIVERGENCES, *own.get(row.project, ())]
    found = [
        one
        for track, mine in signals.watched(connection, row.run_key, wanted).items()
        if track.rank in reach
        for first, last in [reach[track.rank]]
        for one in signals.look(connection, track, mine, first, last + 1)
    ]
    return Seen(row.project, row.name, row.last_step, found)


def _store(connection: sa.Connection, run_id: str, found: list[Found]) -> list[Found]:
    """Write what was found as events; returns what had not been written before."""
    run_key = lock(connection, run_id).run_key
    new: list[Found] = []
    for attempt in sorted({one.attempt for one in found}):
        own = [one for one in found if one.attempt == attempt]
        happened = [
            Happened(
                row=number,
                step=one.step,
                rank=one.track.rank,
                layer="",
                time=one.time,
                event=Event(
                    kind=one.alarm.kind,
                    level=one.alarm.level(one.value),
                    title=one.alarm.title,
                    text=one.alarm.text(one.value),
                ),
            )
            for number, one in enumerate(own)
        ]
        new += [own[one.row] for one in events.store_new(connection, run_key, attempt, happened)]
    return new


def _recent(connection: sa.Connection) -> dict[str, Reach]:
    since = time.time() - RECENT_SECONDS
    rows = connection.execute(
        sa.select(runs.c.id, tracks.c.rank, sa.func.max(tracks.c.last_step))
        .join(tracks, tracks.c.run_key == runs.c.run_key)
        .where(HERE, runs.c.updated >= since)
        .group_by(runs.c.id, tracks.c.rank)
    )
    found: dict[str, Reach] = defaultdict(dict)
    for run_id, rank, last in rows:
        found[run_id][rank] = max(0, last - RECENT_STEPS), last
    return found
