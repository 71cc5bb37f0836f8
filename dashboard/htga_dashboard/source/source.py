"""All data of the dashboard: reads and changes through the collector's HTTP API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from urllib.parse import quote

import httpx2
import pyarrow as pa

from htga_client.wire import (
    ARROW_STREAM,
    Axis,
    GroupedSeries,
    GroupSeries,
    Histograms,
    Layer,
    LayerMap,
    Run,
    RunEvent,
    RunEvents,
    RunPage,
    Series,
    Status,
    Tail,
    TailSeries,
    Token,
    Tokens,
)
from htga_dashboard.models.step_range import Steps
from htga_dashboard.source.edits import RunEdits
from htga_dashboard.source.http import ApiClient, NotFoundError, quote_path
from htga_dashboard.source.rules import RulesApi

ALL = Steps()

PAGE = 1_000
"""Runs per request."""


class Source(AbstractAsyncContextManager["Source"]):
    """Reads runs and their values from a collector, and changes runs.

    Args:
        client: An HTTP client with the collector's address as its `base_url` and a read token, if
            needed, in its headers. Its transport may be `httpx2.ASGITransport(app=api)`.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self._api = ApiClient(client)
        self.rules = RulesApi(self._api)
        self.edits = RunEdits(self._api)

    @property
    def url(self) -> str:
        """The collector's address."""
        return self._api.url

    async def runs(
        self,
        *,
        q: str | None = None,
        tag: str | None = None,
        ids: Iterable[str] | None = None,
        sort: str = "-created",
        limit: int = 100,
        cursor: str | None = None,
        count: bool = False,
    ) -> RunPage:
        """One page of the runs that match the search `q` and have `tag`, the newest first."""
        return await self._api.get(
            RunPage,
            "/runs",
            q=q or None,
            tag=tag,
            ids=None if ids is None else ",".join(ids),
            sort=sort,
            limit=limit,
            cursor=cursor,
            count="true" if count else None,
        )

    async def search(
        self,
        q: str,
        limit: int,
        *,
        tag: str | None = None,
        ids: Iterable[str] | None = None,
        count: bool = True,
    ) -> RunPage:
        """The newest `limit` runs that match, as one page with the total and the unknown names."""
        first = page = await self.runs(q=q, tag=tag, ids=ids, limit=min(limit, PAGE), count=count)
        items = list(page.items)
        while page.next is not None and len(items) < limit:
            size = min(limit - len(items), PAGE)
            page = await self.runs(q=q, tag=tag, ids=ids, limit=size, cursor=page.next)
            items += page.items
        return replace(first, items=tuple(items), next=page.next)

    async def newest(self, limit: int, *, tag: str | None = None) -> list[Run]:
        """The newest `limit` runs, or all of them where there are fewer."""
        return list((await self.search("", limit, tag=tag, count=False)).items)

    async def run(self, run_id: str) -> Run:
        """The run with this id.

        Raises:
            NotFoundError: There is no such run.
        """
        return await self._api.get(Run, f"/runs/{quote_path(run_id)}")

    async def runs_by_id(self, run_ids: Sequence[str], q: str = "") -> list[Run]:
        """The runs of these ids in their order, without unknown ones and those not matching `q`."""
        found = await self.search(q, PAGE, ids=run_ids, count=False)
        return sorted(found.items, key=lambda run: run_ids.index(run.id))

    async def events(self, run_id: str) -> tuple[RunEvent, ...]:
        """The latest events of a run."""
        return (await self._api.get(RunEvents, f"/runs/{quote_path(run_id)}/events")).items

    async def series(
        self,
        run_id: str,
        keys: Iterable[str],
        *,
        buckets: int,
        layer: str = "",
        steps: Steps = ALL,
        since: str | None = None,
    ) -> Series:
        """Values of `keys` over `steps`, in at most `buckets` buckets; `since` is a cursor."""
        return await self._api.get(
            Series,
            f"/runs/{quote_path(run_id)}/series",
            keys=_comma_separated(keys),
            layer=layer,
            start=steps.first,
            stop=steps.stop,
            buckets=buckets,
            since=since,
        )

    async def groups(
        self,
        run_ids: Iterable[str],
        keys: Iterable[str],
        *,
        by: Sequence[str],
        x: Axis,
        buckets: int,
    ) -> tuple[GroupSeries, ...]:
        """Values of `keys` of runs grouped by the settings `by`, in the order of their first runs.

        Args:
            run_ids: Ids; unknown ones are left out.
            keys: Scalars and metrics.
            by: Settings such as "group" and "config.lr"; empty to keep each run apart.
            x: The x axis.
            buckets: Maximum number of points of each series.
        """
        found = await self._api.get(
            GroupedSeries,
            "/groups/series",
            runs=",".join(run_ids),
            keys=_comma_separated(keys),
            by=by,
            x=x,
            buckets=buckets,
        )
        return found.items

    async def histograms(
        self,
        run_id: str,
        *,
        buckets: int,
        bits: int = 1,
        layer: str = "",
        steps: Steps = ALL,
        since: str | None = None,
    ) -> Histograms:
        """Histograms of |gradient| of a layer, or of the whole model, over `steps`.

        They have at most `buckets` columns and `2**bits` bins per octave; `since` is a cursor.
        """
        return await self._api.get(
            Histograms,
            f"/runs/{quote_path(run_id)}/histograms",
            bits=bits,
            layer=layer,
            start=steps.first,
            stop=steps.stop,
            buckets=buckets,
            since=since,
        )

    async def tail(self, run_id: str) -> Tail | None:
        """The tail of a run's latest histogram, or None without a histogram."""
        try:
            return await self._api.get(Tail, f"/runs/{quote_path(run_id)}/tail")
        except NotFoundError:
            return None

    async def tail_series(self, run_id: str, *, buckets: int) -> TailSeries:
        """The tail index of the default share of the entries, from a run's histograms."""
        path = f"/runs/{quote_path(run_id)}/tail/steps"
        return await self._api.get(TailSeries, path, buckets=buckets)

    async def layers(self, run_id: str) -> list[str]:
        """Names of a run's layers, in the order of their first rows."""
        found = await self._api.get(
            dict[str, tuple[Layer, ...]], f"/runs/{quote_path(run_id)}/layers"
        )
        return list(dict.fromkeys(layer.name for layer in found["items"] if layer.name))

    async def layer_map(
        self, run_id: str, key: str, *, buckets: int, steps: Steps = ALL
    ) -> LayerMap:
        """One scalar of every layer over `steps`, in at most `buckets` buckets."""
        return await self._api.get(
            LayerMap,
            f"/runs/{quote_path(run_id)}/layers/map",
            key=key,
            start=steps.first,
            stop=steps.stop,
            buckets=buckets,
        )

    async def status(self) -> Status:
        """The collector's status."""
        return await self._api.get(Status, "/status")

    async def tokens(self) -> tuple[Token, ...]:
        """The collector's tokens, without their secrets."""
        return (await self._api.get(Tokens, "/tokens")).items

    async def query(self, sql: str, *, limit: int) -> pa.Table:
        """The result of one SELECT over the tables runs, steps and metrics.

        Raises:
            RefusedError: The collector refused the query and says why.
        """
        answer = await self._api.request(
            "POST", "/query", json={"sql": sql, "limit": limit}, headers={"accept": ARROW_STREAM}
        )
        table = pa.ipc.open_stream(answer.content).read_all()
        table.validate(full=True)
        return table

    async def __aexit__(self, *_exception: object) -> None:
        await self.client.aclose()


def _comma_separated(keys: Iterable[str]) -> str:
    """Names, quoted, with commas between them."""
    return ",".join(quote(key, safe="") for key in keys)
