"""Runs are watched as they come in: each event once, whatever the batches and restarts."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_client.wire import PREFIX, NewRule, NewRun, RunEvent
from htga_server.alerts import rules
from htga_server.alerts.monitor import REST_FACTOR, RunMonitor
from htga_server.alerts.webhook_queue import WebhookQueue
from htga_server.live.broker import Broker
from htga_server.migrate import migrate
from htga_server.runs import events
from htga_server.runs.store import register
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.load import wait_until
from tests.support.processes import collecting
from tests.support.rows import new_run, store, stream

Post = Callable[..., httpx2.Response]
LOW = NewRule(
    project="p", name="low", kind="below", key="alpha_bar", threshold=1.2, steps=3, level="error"
)
BURST = NewRule(project="p", name="burst", kind="burst", key="loss", threshold=2.0)
OTHERS = NewRule(project="q", name="others", kind="above", key="loss", threshold=-1e9)


@pytest.fixture
def database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr("htga_server.alerts.monitor.REST_FACTOR", 0.0)
    assert REST_FACTOR > 0
    opened = Database(settings.url)
    migrate(opened)
    for rule in (LOW, BURST, OTHERS):
        opened.write_now(partial(rules.create, rule=rule))
    yield opened
    opened.close()


def history() -> list[tuple[int, list[dict[str, Any]]]]:
    """Rows of two attempts; the second takes up the run at step 200."""
    rng = random.Random(5)
    found = []
    for attempt, steps in enumerate((range(260), range(200, 330))):
        rows: list[dict[str, Any]] = []
        for step in steps:
            loss = 1.0 + rng.random()
            if rng.random() < 0.03:
                loss = rng.choice([math.nan, math.inf, 9.0])
            alpha = 1.0 if rng.random() < 0.6 else 1.5
            rows += [
                {"step": step, "alpha_bar": alpha, "grad_norm": math.nan if step == 240 else 1.0},
                {"step": step, "metrics": [("loss", loss)]},
                {"step": step, "rank": 1, "alpha_bar": 1.5 - alpha / 3, "layer": ""},
                {"step": step, "layer": "fc", "alpha_bar": 0.1},
            ]
        found.append((attempt, rows))
    return found


def monitored(
    database: Database, settings: Settings, cuts: list[int], rng: random.Random
) -> set[Any]:
    """The events of `history`, sent in pieces, with rounds and restarts in between."""
    new = NewRun(id=str(uuid.uuid4()), project="p", name="n")
    database.write_now(lambda c: register(c, new, settings))

    async def all_of_it() -> None:
        monitor = RunMonitor(database, Broker(), WebhookQueue())
        for attempt, rows in history():
            writer = f"{attempt}" * 36
            bounds = sorted({0, len(rows), *(cut % len(rows) for cut in cuts)})
            for begin, end in pairwise(bounds):
                body = stream(rows[begin:end], writer=writer, first_seq=begin)
                stored = store(database, settings, new.id, body)
                if rng.random() < 0.1:  # killed before it looked
                    monitor = RunMonitor(database, Broker(), WebhookQueue())
                    await monitor.catch_up()
                else:
                    monitor.enqueue(new.id, stored.steps)
                if rng.random() < 0.6:
                    await monitor.run_once()
        await monitor.run_once()

    asyncio.run(all_of_it())
    found = database.read_now(partial(events.listing, run_id=new.id))
    texts = [repr(one) for one in map(without_time, found)]
    assert len(set(texts)) == len(texts)
    return set(texts)


def without_time(event: RunEvent) -> tuple[Any, ...]:
    return (event.attempt, event.rank, event.step, event.kind, event.level, event.title, event.text)


@pytest.mark.parametrize("seed", [1])
def test_every_event_is_written_once_whatever_the_batches_and_restarts(
    database: Database, settings: Settings, seed: int
) -> None:
    whole = monitored(database, settings, [], random.Random(0))
    titles = {"loss diverges", "grad_norm diverges", "low", "burst"}
    assert {title for title in titles if any(repr(title) in one for one in whole)} == titles
    rng = random.Random(seed)
    cuts = [rng.randrange(1100) for _ in range(60)]
    assert monitored(database, settings, cuts, rng) == whole


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@hypothesis_settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(st.integers(0, 1100), max_size=20), st.randoms(use_true_random=False))
def test_no_batches_make_a_difference(
    database: Database, settings: Settings, cuts: list[int], rng: random.Random
) -> None:
    whole = monitored(database, settings, [], random.Random(0))
    assert monitored(database, settings, cuts, rng) == whole


@pytest.mark.usefixtures("collector")
def test_a_run_that_diverges_says_so_while_it_runs(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    api.post("/rules", json={"project": "digits", "name": "r", "kind": "above", "key": "loss"})
    with api.stream("GET", "/live", params={"run": run_id}) as live:
        lines = live.iter_lines()
        assert next(lines) == ": open"
        post([{"step": s, "metrics": [("loss", 0.0 if s < 5 else math.nan)]} for s in range(9)])
        told = [next(line for line in lines if line.startswith("data")) for _ in range(2)]
    assert told == [f'data: {{"run": "{run_id}", "step": 8}}'] * 2
    (event,) = api.get(f"/runs/{run_id}/events").json()["items"]
    assert (event["step"], event["kind"], event["level"]) == (5, "divergence", "error")
    assert (event["title"], event["text"][:11]) == ("loss diverges", "loss is nan")


def test_a_rule_that_is_not_enabled_and_a_run_of_another_project_are_left_alone(
    database: Database, settings: Settings
) -> None:
    database.write_now(
        partial(
            rules.create,
            rule=NewRule(
                project="r", name="off", kind="above", key="loss", threshold=0.0, enabled=False
            ),
        )
    )
    new = NewRun(id=str(uuid.uuid4()), project="r", name="n")
    database.write_now(lambda c: register(c, new, settings))
    stored = store(database, settings, new.id, stream([{"step": 1, "metrics": [("loss", 1.0)]}]))

    async def look() -> None:
        monitor = RunMonitor(database, Broker(), WebhookQueue())
        monitor.enqueue(new.id, stored.steps)
        monitor.enqueue(str(uuid.uuid4()), stored.steps)
        await monitor.run_once()

    asyncio.run(look())
    assert database.read_now(partial(events.listing, run_id=new.id)) == ()


def test_a_run_whose_events_could_not_be_written_is_inspected_again(
    database: Database, settings: Settings
) -> None:
    new = NewRun(id=str(uuid.uuid4()), project="p", name="n")
    database.write_now(lambda c: register(c, new, settings))
    stored = store(
        database, settings, new.id, stream([{"step": 1, "metrics": [("loss", math.nan)]}])
    )

    async def look() -> None:
        monitor = RunMonitor(database, Broker(), WebhookQueue())
        monitor.enqueue(new.id, stored.steps)
        database._max_waiting = 0  # every write is refused: the queue is full
        await monitor.run_once()
        database._max_waiting = 256
        await monitor.run_once()

    asyncio.run(look())
    (event,) = database.read_now(partial(events.listing, run_id=new.id))
    assert (event.step, event.kind) == (1, "divergence")


def test_a_backtest_finds_what_the_monitor_finds(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    rule = {"project": "digits", "name": "r", "kind": "below", "key": "alpha_bar"}
    rule |= {"threshold": 1.0, "steps": 2}  # type: ignore[dict-item]
    rows = [{"step": s, "alpha_bar": 0.5 if s % 7 in {2, 3, 4} else 1.5} for s in range(100)]
    made = api.post("/rules", json=rule).json()
    post(rows)
    expected = api.post("/rules/try", json={"rule": made}).json()["items"]
    assert len(expected) == 14
    until = time.monotonic() + 30
    found: list[dict[str, Any]] = []
    while len(found) < len(expected):
        found = api.get(f"/runs/{run_id}/events").json()["items"]
        assert time.monotonic() < until
    assert [(e["step"], e["text"]) for e in found] == [(f["step"], f["text"]) for f in expected]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_collectors_that_inspect_the_same_steps_store_each_event_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    def diverged(api: httpx2.Client) -> str:
        run_id = str(api.post("/runs", json=new_run()).json()["id"])
        rows = {"rows": [{"step": 3, "metrics": {"loss": "NaN"}}]}
        assert api.post(f"/runs/{run_id}/rows", json=rows).is_success
        return run_id

    def conditions(run_id: str) -> int:
        return len(database.read_now(partial(events.listing, run_id=run_id)))

    made = [NewRun(id=str(uuid.uuid4()), project="p", name="n") for _ in range(20)]
    rows = [{"step": step, "metrics": [("loss", math.nan)]} for step in (3, 100, 200)]
    for new in made:
        database.write_now(partial(register, new=new, limits=settings))
        store(database, settings, new.id, stream(rows))
    flags = ("--no-dashboard", "--db", str(settings.database_url))
    with (
        collecting(tmp_path / "a", *flags) as first,
        collecting(tmp_path / "b", *flags) as second,
        httpx2.Client(base_url=first.url + PREFIX, timeout=30) as here,
        httpx2.Client(base_url=second.url + PREFIX, timeout=30) as there,
    ):
        # Each begins with what was there: once it has seen what came since, it has seen that, too.
        later = [diverged(here), diverged(there)]
        wait_until(lambda: list(map(conditions, later)) == [1, 1])
    assert [conditions(new.id) for new in made] == [3] * len(made)
