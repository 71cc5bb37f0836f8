"""Requests that are stored together end as if each had come alone."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from htga_client.wire import NewRun
from htga_server.ingest import decode
from htga_server.ingest.store import IngestRequest, IngestResult, store_requests
from htga_server.migrate import migrate
from htga_server.problems import Conflict, NotFound, ServerError
from htga_server.runs.store import register
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import RUN_TABLES, gaps, runs
from tests.support.rows import probe_rows, stream

RUNS = [f"{number:032d}" for number in range(7)]
WRITERS = ["a" * 36, "b" * 36]
RANKS = ["0" * 36, "1" * 36, "2" * 36]
CLOCK = {"updated", "created", "time"}


def history() -> list[tuple[str, bytes]]:
    """Requests of several runs in the order in which they came."""
    first, second, wide, odd, plain, events, ranks = RUNS
    a, b = WRITERS
    alert = '{"kind": "alert", "level": "info", "title": "t", "text": ""}'
    sent: list[tuple[str, bytes]] = []
    for begin in range(0, 180, 30):
        rows = probe_rows(range(begin, begin + 30), time=float(begin))
        sent += [
            (first, stream(rows, writer=a, first_seq=begin)),
            (second, stream(rows[:10], writer=a, first_seq=begin // 3)),
            (
                wide,
                stream(
                    [row | {"layer": x} for row in rows for x in "xy"],
                    writer=a,
                    first_seq=2 * begin,
                ),
            ),
        ]
        sent += [
            (
                ranks,
                stream(
                    [row | {"rank": rank, "layer": layer} for row in rows for layer in ("", "z")],
                    writer=writer,
                    first_seq=2 * begin,
                ),
            )
            for rank, writer in enumerate(RANKS)
        ]
    both = [row | {"rank": rank} for row in probe_rows(range(60, 70)) for rank in (1, 2)]
    sent += [
        (ranks, stream(both, writer=a)),
        (ranks, stream(both, writer=RANKS[1], first_seq=360)),
        (ranks, stream(probe_rows(range(180, 190)), writer=RANKS[0], first_seq=360)),
        (
            ranks,
            stream(
                [{"step": 200, "rank": 2, "metrics": [("new", 1.0)]}],
                writer=RANKS[2],
                first_seq=360,
            ),
        ),
        (
            ranks,
            stream(
                [{"step": 201, "rank": 1, "metrics": [("new", 1.0)]}],
                writer=RANKS[1],
                first_seq=380,
            ),
        ),
        (ranks, stream([{"step": 202, "metrics": [("new", 1.0)]}])),
    ]
    again = probe_rows(range(150, 185), time=150.0)
    sent += [
        (first, stream(again, writer=a, first_seq=150)),  # five are new
        (first, stream(probe_rows(range(90, 100)), writer=b, first_seq=0)),  # another attempt
        (second, stream(again, writer=a, first_seq=500)),  # some are missing
        (second, stream(again, writer=a, first_seq=500, gaps=[(60, 500)])),
        ("f" * 32, stream(again, writer=a, first_seq=0)),
        (
            odd,
            stream([{"step": -1}, {"step": 3, "alpha_hat": math.nan}, {"step": 3, "gamma": 1.0}]),
        ),
        (odd, stream([{"step": 1, "metrics": [(f"m{i}", 1.0) for i in range(9)]}])),
        (odd, stream([{"step": 2, "metrics": [("m0", math.inf)]}])),
        (plain, stream([{"step": 7}], writer=b, first_seq=0)),
        (plain, stream([], writer=b, first_seq=1)),
        (events, stream([{"step": 1, "event": alert}, {"step": 2, "event": "{"}], writer=a)),
    ]
    return sent


def stored(settings: Settings, sizes: list[int]) -> tuple[list[str], dict[str, list[Any]]]:
    """What is answered and what the tables hold, if so many requests at a time are stored."""
    database = Database(settings.url)
    migrate(database)
    for run_id in RUNS:
        new = NewRun(id=run_id, project="p", name="n")
        database.write_now(partial(register, new=new, limits=settings))
    waiting = [
        IngestRequest(run_id, decode.from_arrow(body, 50_000), settings)
        for run_id, body in history()
    ]
    answers: list[IngestResult | ServerError] = []
    for size in sizes:
        taken, waiting = waiting[:size], waiting[size:]
        answers += database.write_now(partial(store_requests, requests=taken))
    assert not waiting
    tables = {}
    for table in (runs, *RUN_TABLES):
        columns = [column for column in table.columns if column.name not in CLOCK]
        query = sa.select(*columns).order_by(*table.primary_key)
        rows = database.read_now(lambda c, query=query: c.execute(query).all())  # type: ignore[misc]
        # SQLite has no NaN.
        tables[table.name] = [repr(row).replace("'NaN'", "nan") for row in rows]
    assert len(tables[gaps.name]) == 1
    database.close()
    return list(map(repr, answers)), tables


@pytest.fixture
def strict(settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics_per_run": 8})


@pytest.fixture
def other(tmp_path: Any, strict: Settings) -> Settings:
    return strict.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'other.db'}"})


def test_requests_that_are_stored_together_end_as_if_each_had_come_alone(
    strict: Settings, other: Settings
) -> None:
    number = len(history())
    answers, tables = stored(strict, [number])
    one_by_one, expected = stored(other, [1] * number)
    assert answers == one_by_one
    kinds = [answer.partition("(")[0] for answer in answers]
    refusals = {Conflict.__name__, NotFound.__name__}
    assert set(kinds) == {IngestResult.__name__, *refusals}
    assert any("at most 8 metrics" in answer for answer in answers)
    assert tables == expected
