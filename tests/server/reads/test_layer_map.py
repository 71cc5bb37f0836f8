"""The map of layers over steps says what the rows of each layer say."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from htga_server.http.server import Server
from htga_server.reads import layer_map
from htga_server.reads.series import Range
from htga_server.storage.database import Database
from htga_server.timeseries import rollup
from tests.support.rows import snapshot

Post = Callable[..., httpx2.Response]
Rows = dict[str, dict[int, float]]


def spell(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def expected(rows: Rows, start: int, stop: int, width: int) -> dict[str, Any]:
    """The map, straight from the rows."""
    steps = {s for own in rows.values() for s in own if start <= s < stop}
    buckets = sorted({step // width for step in steps})
    found: dict[str, Any] = {
        "step": [max(s for s in steps if s // width == bucket) for bucket in buckets],
        "layers": list(rows),
    }
    for part, choose in (("mean", None), ("min", min), ("max", max)):
        found[part] = []
        for own in rows.values():
            line: list[float | str | None] = []
            for bucket in buckets:
                values = [v for s, v in own.items() if s in steps and s // width == bucket]
                finite = [v for v in values if not math.isnan(v)]
                if not values:
                    line.append(None)
                elif choose is None:
                    line.append(spell(math.fsum(values) / len(values)))
                else:
                    line.append(choose(finite) if finite else "NaN")
            found[part].append(line)
    return found


@pytest.mark.parametrize(
    ("start", "stop", "buckets"),
    [(None, None, 120), (None, None, 7), (133, 700, 20), (0, 50, 1000), (900, None, 30), (5, 5, 9)],
)
def test_the_map_is_what_the_rows_of_each_layer_say(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    start: int | None,
    stop: int | None,
    buckets: int,
) -> None:
    rng = random.Random(3)
    ends = {"fc.weight": 1000, "fc.bias": 1000, "odd": 997, "late": 400}
    rows: Rows = {layer: {} for layer in ends}
    for attempt in range(2):  # the second takes up the run at step 600
        sent = []
        for step in range(600 * attempt, 1000):
            for layer, end in ends.items():
                if step >= end or (layer == "late" and step < 200) or (layer == "odd" and step % 9):
                    continue
                value = math.nan if rng.random() < 0.02 else float(rng.randrange(1000))
                rows[layer][step] = value
                sent.append({"step": step, "layer": layer, "alpha_hat": value})
            sent.append({"step": step, "alpha_hat": 5e9})  # the whole model is no layer
            sent.append({"step": step, "layer": "fc.bias", "rank": 1, "alpha_hat": 5e9})
        writer = str(uuid.uuid4())
        for begin in range(0, len(sent), 700):
            answer = post(sent[begin : begin + 700], writer=writer, first_seq=begin)
            assert answer.json()["accepted"] == len(sent[begin : begin + 700])
    given = {"start": start, "stop": stop, "buckets": buckets}
    asked = {name: value for name, value in given.items() if value is not None}
    found = api.get(f"/runs/{run_id}/layers/map", params=asked).json()
    low, high = start or 0, min(stop or 1000, 1000)
    width, _ = rollup.bucket_width(low, max(low, high), buckets)
    wanted = expected(rows, low, high, width)
    assert found == {"run_id": run_id, "key": "alpha_hat", "rank": 0, "damaged": []} | wanted
    assert len(found["step"]) <= buckets


def test_a_key_that_is_no_scalar_is_refused_and_a_run_without_layers_has_an_empty_map(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": 1, "alpha_hat": 1.0, "metrics": [("loss", 1.0)]}])
    where = f"/runs/{run_id}/layers/map"
    assert api.get(where, params={"key": "loss"}).status_code == 422
    assert api.get(where).json()["layers"] == api.get(where).json()["step"] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_very_many_layers_the_buckets_are_wider_and_nothing_is_lost(
    api: httpx2.Client, run_id: str, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post([{"step": s, "layer": x, "grad_norm": float(s)} for s in range(1000) for x in "ab"])
    where, params = f"/runs/{run_id}/layers/map", {"key": "grad_norm"}
    fine = api.get(where, params=params).json()
    monkeypatch.setattr(layer_map, "MAX_CELLS", 100)
    coarse = api.get(where, params=params).json()
    assert (len(fine["step"]), len(coarse["step"])) == (63, 16)
    assert [max(line) for line in coarse["max"]] == [999.0, 999.0]
    assert [min(line) for line in coarse["min"]] == [0.0, 0.0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_layers_take_as_many_queries_as_one(
    api: httpx2.Client, collector: Server, run_id: str, post: Post
) -> None:
    def queries() -> int:
        database: Database = collector._app.state.database
        asked: list[str] = []

        def read(connection: sa.Connection) -> None:
            # Of this connection alone: the collector watches its runs meanwhile.
            sa.event.listen(
                connection, "before_cursor_execute", lambda *said: asked.append(said[2])
            )
            layer_map.read(snapshot(connection), run_id, "alpha_hat", Range(), 20)

        database.read_now(read)
        return len(asked)

    def log(layers: range) -> None:
        post([{"step": s, "layer": f"l{n}", "alpha_hat": 1.0} for s in range(500) for n in layers])

    log(range(1))
    one = queries()
    log(range(1, 60))
    assert len(api.get(f"/runs/{run_id}/layers/map").json()["layers"]) == 60
    assert queries() == one
