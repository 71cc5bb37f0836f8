"""Reading: scalars and histograms over steps."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Query, Request, Response

from htga_client.wire import Histograms, Series
from htga_server import histograms, series
from htga_server.arrow_response import arrow_response, wants_arrow
from htga_server.deps import DatabaseDep
from htga_server.policy import READ
from htga_server.problems import BadRequest
from htga_server.series import MAX_BUCKETS, Range

router = APIRouter(prefix="/runs", tags=["series"])
MAX_KEYS = 200
Step = Annotated[int | None, Query(ge=0, lt=2**63)]
Rank = Annotated[int, Query(ge=0, lt=2**31)]


def _range(
    layer: str = "",
    rank: Rank = 0,
    start: Step = None,
    stop: Step = None,
    since: str | None = None,
) -> Range:
    return Range(layer=layer, rank=rank, start=start, stop=stop, since=since)


RangeDep = Annotated[Range, Depends(_range)]


@router.get("/{run_id}/series", response_model=Series, dependencies=[READ])
async def read_series(
    run_id: str,
    request: Request,
    db: DatabaseDep,
    within: RangeDep,
    keys: str,
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 1200,
) -> Series | Response:
    """Values of keys (separated by commas; a comma within one is %2C) over `start <= step < stop`.

    With more rows than `buckets`, each bucket gives mean, min, max and last, so that no spike is
    lost. `since` takes the `cursor` of the answer before and gives what came after it.
    """
    wanted = [unquote(key) for key in dict.fromkeys(keys.split(",")) if key]
    if not 0 < len(wanted) <= MAX_KEYS:
        raise BadRequest(f"keys must name 1 to {MAX_KEYS} keys, got {len(wanted)}")
    read = partial(series.read, run_id=run_id, keys=wanted, within=within, buckets=buckets)
    found = await db.read(read)
    return arrow_response(series.to_arrow(found)) if wants_arrow(request) else found


@router.get("/{run_id}/histograms", dependencies=[READ])
async def read_histograms(
    run_id: str,
    db: DatabaseDep,
    within: RangeDep,
    buckets: Annotated[int, Query(ge=1, le=2000)] = 400,
    bits: Annotated[int, Query(ge=0, le=8)] = 1,
) -> Histograms:
    """Histograms of |gradient|, summed per bucket of steps, on `2**bits` bins per octave."""
    read = partial(histograms.read, run_id=run_id, within=within, buckets=buckets, bits=bits)
    return await db.read(read)
