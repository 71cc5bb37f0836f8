"""Routes that read a run: series, histograms, tail, layers."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Query, Request, Response

from htga_client.statistics.hill import TAIL_FRACTION
from htga_client.wire import Histograms, Layer, LayerMap, Series, Tail, TailSeries
from htga_server.api.deps import DatabaseDep, SnapshotsDep, ViewedDep
from htga_server.api.permissions import READ
from htga_server.http.responses import arrow_response, json_response, wants_arrow
from htga_server.problems import BadRequest
from htga_server.reads import histograms, layer_map, layers, series, tail
from htga_server.reads.series import MAX_BUCKETS, Range
from htga_server.timeseries.rollup import MAX_STEP

router = APIRouter(prefix="/runs", tags=["series"])
MAX_KEYS = 200
Step = Annotated[int | None, Query(ge=0, le=MAX_STEP)]
Rank = Annotated[int, Query(ge=0, lt=2**31)]


def _range(
    layer: str = "", rank: Rank = 0, start: Step = None, stop: Step = None, since: str | None = None
) -> Range:
    return Range(layer=layer, rank=rank, start=start, stop=stop, since=since)


RangeDep = Annotated[Range, Depends(_range)]


async def _mark_viewed(run_id: str, viewed: ViewedDep) -> None:
    viewed.mark_viewed(run_id)


VIEW = Depends(_mark_viewed)


def key_list(keys: str) -> list[str]:
    """Split the names of keys in a query parameter, separated by commas.

    Raises:
        BadRequest: There are none, or too many.
    """
    wanted = [unquote(key) for key in dict.fromkeys(keys.split(",")) if key]
    if not 0 < len(wanted) <= MAX_KEYS:
        raise BadRequest(f"keys must name 1 to {MAX_KEYS} keys, got {len(wanted)}")
    return wanted


@router.get("/{run_id}/series", response_model=Series, dependencies=[READ])
async def read_series(
    run_id: str,
    request: Request,
    snapshots: SnapshotsDep,
    viewed: ViewedDep,
    within: RangeDep,
    keys: str,
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 1200,
    preview: bool = False,
) -> Response:
    """Values of keys (separated by commas; a comma within one is %2C) over `start <= step < stop`.

    With more rows than `buckets`, each bucket gives mean, min, max and last, so that no spike is
    lost. `since` takes the `cursor` of the answer before and gives what came after it. A `preview`,
    such as a row of a table shows, does not count as viewing the run.
    """
    if not preview:
        viewed.mark_viewed(run_id)
    wanted = key_list(keys)
    read = partial(series.read, run_id=run_id, keys=wanted, within=within, buckets=buckets)
    found = await snapshots.read(read)
    if wants_arrow(request):
        return arrow_response(request, series.to_arrow(found))
    return json_response(request, found)


@router.get("/{run_id}/histograms", response_model=Histograms, dependencies=[READ, VIEW])
async def read_histograms(
    run_id: str,
    request: Request,
    snapshots: SnapshotsDep,
    within: RangeDep,
    buckets: Annotated[int, Query(ge=1, le=2000)] = 400,
    bits: Annotated[int, Query(ge=0, le=8)] = 1,
) -> Response:
    """Histograms of |gradient|, summed per bucket of steps, on `2**bits` bins per octave."""
    read = partial(histograms.read, run_id=run_id, within=within, buckets=buckets, bits=bits)
    return json_response(request, await snapshots.read(read))


@router.get("/{run_id}/tail", response_model=Tail, dependencies=[READ, VIEW])
async def read_tail(
    run_id: str,
    request: Request,
    snapshots: SnapshotsDep,
    layer: str = "",
    rank: Rank = 0,
    step: Step = None,
) -> Response:
    """Survival, Hill plot at every threshold and one fit, of the latest histogram by `step`."""
    read = partial(tail.read, run_id=run_id, layer=layer, rank=rank, step=step)
    return json_response(request, await snapshots.read(read))


@router.get("/{run_id}/tail/steps", response_model=TailSeries, dependencies=[READ, VIEW])
async def read_tail_steps(
    run_id: str,
    request: Request,
    snapshots: SnapshotsDep,
    within: RangeDep,
    buckets: Annotated[int, Query(ge=1, le=1000)] = 300,
    fraction: Annotated[float, Query(gt=0, le=0.5)] = TAIL_FRACTION,
) -> Response:
    """The tail index of one share of the entries over steps, which all runs have alike."""
    read = partial(
        tail.over_steps, run_id=run_id, within=within, buckets=buckets, fraction=fraction
    )
    return json_response(request, await snapshots.read(read))


@router.get("/{run_id}/layers", dependencies=[READ])
async def read_layers(run_id: str, db: DatabaseDep) -> dict[str, tuple[Layer, ...]]:
    """List the layers of a run by rank, in the order in which they first came."""
    return {"items": await db.read(partial(layers.listing, run_id=run_id))}


@router.get("/{run_id}/layers/map", response_model=LayerMap, dependencies=[READ, VIEW])
async def read_layer_map(
    run_id: str,
    request: Request,
    snapshots: SnapshotsDep,
    key: str = "alpha_hat",
    buckets: Annotated[int, Query(ge=1, le=1000)] = 120,
    rank: Rank = 0,
    start: Step = None,
    stop: Step = None,
) -> Response:
    """One scalar of every layer over `start <= step < stop`, on common buckets."""
    within = Range(rank=rank, start=start, stop=stop)
    read = partial(layer_map.read, run_id=run_id, key=key, within=within, buckets=buckets)
    return json_response(request, await snapshots.read(read))
