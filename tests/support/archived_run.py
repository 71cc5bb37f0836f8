"""A run with everything that a run can have, and what every read of it answers."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx2

from htga_client.wire.histogram import encode
from htga_server.archive.housekeeping import Housekeeping
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.rows import new_run

Post = Callable[..., httpx2.Response]
STEPS = 400
LAYER_NAMES = ("", "conv", "z fc", "a head")  # not in the order of their names
KEYS = ("alpha_hat", "k", "grad_norm", "loss", "accuracy")


def odd_rows(chance: random.Random, steps: range, rank: int) -> list[dict[str, Any]]:
    """Rows with everything that a float can be, of several layers, some without a histogram."""
    odd = [1.5, math.nan, math.inf, -math.inf, None, 0.0, -0.0, 5e-324]
    rows = []
    for step in steps:
        for layer in LAYER_NAMES if step % 5 == 0 else ("",):
            counts = [chance.randrange(9) + 1 for _ in range(4)]
            rows.append(
                {
                    "step": step,
                    "time": 1000.0 + step / 7,
                    "rank": rank,
                    "layer": layer,
                    "alpha_hat": chance.choice([*odd, chance.random()]),
                    "k": chance.choice([None, chance.randrange(9)]),
                    "grad_norm": chance.random(),
                    "histogram": encode(counts, bits=1, first=200 + step % 3)
                    if chance.random() < 0.8
                    else None,
                    "metrics": [] if layer else [("loss", chance.choice([0.1, math.nan]))],
                }
            )
    return rows


def fill(run_id: str, api: httpx2.Client, post: Post) -> None:
    """Two ranks, and a second attempt that begins at half of the steps."""
    chance = random.Random(7)
    for attempt, steps in enumerate((range(STEPS), range(STEPS // 2, STEPS + 9))):
        for rank in (0, 1):
            writer = str(uuid.UUID(int=2 * attempt + rank))
            assert api.post("/runs", json=new_run(id=run_id, writer=writer)).is_success
            assert post(odd_rows(chance, steps, rank), writer=writer).is_success
    rows = [{"step": step, "metrics": {"accuracy": step / 9}} for step in range(0, STEPS, 3)]
    assert api.post(f"/runs/{run_id}/rows", json={"rows": rows}).is_success
    assert api.post(f"/runs/{run_id}/finish", json={}).is_success


def prune(database: Database, settings: Settings) -> None:
    own, then = settings.model_copy(update={"keep_days": 1.0}), time.time() + 2 * 24 * 3600
    asyncio.run(Housekeeping(database, own, clock=lambda: then).prune())


def readings(api: httpx2.Client, run_id: str) -> dict[str, Any]:
    """What every read of a run answers, over narrow and wide ranges."""
    where = f"/runs/{run_id}"
    asked = [f"/groups/series?runs={run_id}&keys=alpha_hat,loss&x={x}" for x in ("step", "time")]
    asked.append(f"/groups/series?runs={run_id}&keys=grad_norm&x=relative&stop=40")
    for rank, layer in ((0, ""), (1, ""), (0, "z%20fc"), (1, "conv")):
        own = f"rank={rank}&layer={layer}"
        keys = ",".join(KEYS if (rank, layer) == (0, "") else KEYS[:3])
        for within in ("", "&start=3&stop=70", "&start=190&stop=330", "&start=399", "&since=200"):
            series = f"{where}/series?keys={keys}&{own}{within}"
            asked += [f"{series}&buckets={buckets}" for buckets in (10, 40, 1200)]
            asked.append(f"{where}/histograms?{own}{within}&buckets=30")
            asked.append(f"{where}/tail/steps?{own}{within}&buckets=30&fraction=0.4")
        asked += [f"{where}/tail?{own}&step={step}" for step in (0, 63, 64, 257, 407)]
        asked.append(f"{where}/tail?{own}")
    for key in ("alpha_hat", "k"):
        asked.append(f"{where}/layers/map?key={key}&buckets=30")
        asked.append(f"{where}/layers/map?key={key}&buckets=500&start=100&stop=333&rank=1")
    answers = {path: api.get(path) for path in asked}
    for key, kind, threshold, steps in (
        ("grad_norm", "above", 0.95, 2),
        ("loss", "nonfinite", 0.0, 1),
        ("grad_norm", "burst", 1.8, 1),
    ):
        names = {"project": "digits", "name": "n", "kind": kind, "key": key}
        rule = names | {"threshold": threshold, "steps": steps}
        tried = api.post("/rules/try", json={"rule": rule, "runs": [run_id]})
        answers[f"{key} {kind}"] = tried
    assert {one.status_code for one in answers.values()} <= {200, 404}
    return {path: one.json() for path, one in answers.items()}
