from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial

import httpx2
import pytest

from htga_client.wire.histogram import encode
from htga_dashboard.source.http import NotFoundError, UnavailableError
from htga_dashboard.source.source import Source
from htga_server.http.server import Server


def source_of(server: Server) -> Source:
    return Source(httpx2.AsyncClient(base_url=server.url))


def test_a_run_and_its_values_are_read_as_they_were_sent(
    collector: Server, register: Callable[..., str], send: Callable[..., None]
) -> None:
    run_id = register(collector, tags=["a", "b"], config={"lr": 0.1})
    rows = [
        {"step": 0, "alpha_hat": 1.5, "grad_norm": 0.2, "metrics": [("loss, <b>50 %", 3.0)]},
        {"step": 1, "alpha_hat": math.nan, "grad_norm": math.inf},
        {"step": 2, "alpha_hat": 1.7, "histogram": encode([3, 0, 1], bits=1, first=240)},
    ]
    send(collector, run_id, rows)

    async def read() -> None:
        async with source_of(collector) as source:
            run = await source.run(run_id)
            assert run.tags == ("a", "b")
            assert run.config == {"lr": 0.1}
            assert run.metrics == ("loss, <b>50 %",)
            keys = ["alpha_hat", "grad_norm", *run.metrics]
            series = await source.series(run_id, keys, buckets=800)
            alpha, norm, loss = (series.keys[key].mean for key in keys)
            assert series.step == [0, 1, 2]
            assert alpha[0] == 1.5
            assert math.isnan(alpha[1] or 0)
            assert norm == [0.2, math.inf, None]
            assert loss == [3.0, None, None]
            later = await source.series(run_id, keys, buckets=800, since="1")
            assert later.step == [2]
            histograms = await source.histograms(run_id, buckets=200)
            assert histograms.step == [2]
            assert sum(histograms.counts[0]) == 4

    asyncio.run(read())


def test_runs_are_grouped_by_settings_of_any_name(
    collector: Server, register: Callable[..., str], send: Callable[..., None]
) -> None:
    name, key = "a&by=b, 50 %", "loss, <b>&"
    configs = ({name: 1}, {name: 1}, {name: 2})
    runs = [register(collector, name="r", config=config) for config in configs]
    for run_id, loss in zip(runs, (1.0, 3.0, 5.0), strict=True):
        send(collector, run_id, [{"step": 7, "metrics": [(key, loss)]}])

    async def read() -> None:
        async with source_of(collector) as source:
            together = partial(source.groups, [runs[2], *runs[:2]], [key], x="step", buckets=9)
            found = await together(by=[f"config.{name}", "group"])
            assert [group.label for group in found] == [
                f"{name}={value}, group=(none)" for value in (2, 1)
            ]
            assert [group.keys[key].mean for group in found] == [[5.0], [2.0]]
            assert [group.label for group in await together(by=())] == ["r"] * 3

    asyncio.run(read())


def test_the_newest_runs_are_gathered_over_pages(
    collector: Server, register: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_dashboard.source.source.PAGE", 2)
    names = [f"run {i}" for i in range(5)]
    for name in names:
        register(collector, name=name)

    async def read(count: int) -> list[str]:
        async with source_of(collector) as source:
            return [run.name for run in await source.newest(count)]

    assert asyncio.run(read(100)) == names[::-1]
    assert asyncio.run(read(3)) == names[:1:-1]


@pytest.mark.parametrize(
    "run_id", ["0198c0de-0000-7000-8000-000000000000", "x/../y", "", "?", "<b>"]
)
def test_a_run_that_the_collector_does_not_know_is_not_found(
    collector: Server, run_id: str
) -> None:
    async def read() -> None:
        async with source_of(collector) as source:
            with pytest.raises((NotFoundError, UnavailableError)):
                await source.run(run_id)

    asyncio.run(read())


def test_a_collector_that_is_not_there_is_named() -> None:
    async def read() -> None:
        async with Source(httpx2.AsyncClient(base_url="http://127.0.0.1:9")) as source:
            with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9 does not answer"):
                await source.runs()

    asyncio.run(read())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx2.Response(503, text="the database is locked"), "503.*the database is locked"),
        (httpx2.Response(200, text="<html>"), "is no RunPage"),
        (httpx2.Response(200, json={"items": 1}), "is no RunPage"),
    ],
)
def test_an_answer_of_no_use_is_quoted(answer: httpx2.Response, reason: str) -> None:
    async def read() -> None:
        transport = httpx2.MockTransport(lambda _: answer)
        client = httpx2.AsyncClient(base_url="http://collector", transport=transport)
        async with Source(client) as source:
            with pytest.raises(UnavailableError, match=reason):
                await source.runs()

    asyncio.run(read())
