"""Whatever is stored in whatever order, what is derived says what the rows say."""

from __future__ import annotations

import math
import uuid
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_client.wire import NewRun, histogram
from htga_server.reads import histograms, series
from htga_server.reads.series import Range
from htga_server.runs.lookup import key_of
from htga_server.runs.store import register
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import cells, packs, tracks
from htga_server.timeseries.rebuild import rebuild
from tests.support.rows import snapshot, store, stream

Row = dict[str, Any]
decode = cache(histogram.decode)
MAX_BUCKETS = 60


class Model:
    """A run, and what it must look like."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.id = str(uuid.uuid4())
        new = NewRun(id=self.id, project="p", name="n")
        database.write_now(partial(register, new=new, limits=settings))
        self.attempts: dict[str, tuple[int, int]] = {}
        self.stored: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}

    def send(self, writer: str, rows: list[Row]) -> None:
        attempt, seq = self.attempts.setdefault(writer, (len(self.attempts) + 1, 0))
        body = stream(rows, writer=writer, first_seq=seq)
        stored = store(self.database, self.settings, self.id, body)
        assert stored.receipt.accepted == len(rows)
        self.attempts[writer] = (attempt, seq + len(rows))
        for row in rows:
            for key, value in self._measured(row):
                at = self.stored.setdefault((row["layer"], row["step"]), {})
                at.setdefault(attempt, {})[key] = value

    def _measured(self, row: Row) -> Iterator[tuple[str, Any]]:
        for key in ("alpha_hat", "gamma", "histogram"):
            if row.get(key) is not None:
                yield key, row[key]

    def latest(self, layer: str, key: str) -> dict[int, Any]:
        """Values by step. A row is of its latest attempt; a histogram of the latest that has it."""
        found: dict[int, Any] = {}
        for (own, step), attempts in sorted(self.stored.items()):
            has = [a for a in attempts if key == "alpha_hat" or key in attempts[a]]
            if own == layer and has and key in attempts[max(has)]:
                found[step] = attempts[max(has)][key]
        return found

    def check(self, layer: str, start: int, stop: int, buckets: int) -> None:
        within = Range(layer=layer, start=start, stop=stop)
        read = partial(
            series.read, run_id=self.id, keys=["alpha_hat"], within=within, buckets=buckets
        )
        found = self.database.read_now(lambda connection: read(snapshot(connection)))
        assert found.buckets <= buckets
        shown = found.keys["alpha_hat"]
        values = {s: v for s, v in self.latest(layer, "alpha_hat").items() if start <= s < stop}
        # Which steps a bucket holds follows from the last one of each.
        steps = sorted(s for (own, s) in self.stored if own == layer and start <= s < stop)
        wanted, places, begin = [], [], 0
        for place, last in enumerate(found.step):
            end = bisect_right(steps, last)
            own = [values[s] for s in steps[begin:end] if s in values]
            begin = end
            if not own:
                assert shown.last[place] is None
                continue
            finite = [v for v in own if not math.isnan(v)] or [math.nan]
            wanted.append((sum(own) / len(own), min(finite), max(finite), own[-1]))
            places.append(place)
        for part, expected in zip(
            (shown.mean, shown.min, shown.max, shown.last), zip(*wanted, strict=True), strict=False
        ):
            given = [part[place] for place in places]
            assert None not in given
            exact = 1e-6 if part is shown.mean else 0.0
            np.testing.assert_allclose(np.array(given, float), expected, rtol=exact, atol=0.0)
        if found.step:
            assert (found.step[-1], found.total) == (steps[-1], len(steps))
        blobs = {s: v for s, v in self.latest(layer, "histogram").items() if start <= s < stop}
        read_sums = partial(histograms.read, run_id=self.id, within=within, buckets=buckets, bits=3)
        summed = self.database.read_now(lambda connection: read_sums(snapshot(connection)))
        assert summed.total == len(blobs)
        decoded = [decode(blob) for blob in blobs.values()]
        assert sum(map(sum, summed.counts)) == sum(one.counts.sum() for one in decoded)
        assert sum(summed.n_zero) == sum(one.n_zero for one in decoded)

    def derived(self) -> list[Any]:
        """All that is derived, with packs by what they hold."""
        return self.database.read_now(
            lambda connection: [
                sorted(map(tuple, connection.execute(sa.select(table)).all()))
                for table in (cells, tracks, packs)
            ]
        )


def rows_of(layer: str, start: int, number: int, stride: int, seed: int) -> list[Row]:
    made = []
    for i in range(number):
        step = start + i * stride
        noise = (step * 7919 + seed * 31) % 97
        blob = histogram.encode([noise + 1, seed + 1], bits=3, first=900 + noise % 5, n_zero=noise)
        made.append(
            {
                "step": step,
                "layer": layer,
                "time": float(step),
                "alpha_hat": {0: math.nan, 1: math.inf, 2: None}.get(noise, noise / 7),
                "gamma": 1.0,
                "histogram": blob if noise % 3 else None,
            }
        )
    return made


BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["a" * 36, "b" * 36]),  # writers, and so attempts
        st.sampled_from(["", "conv"]),
        st.one_of(st.none(), st.integers(0, 1500)),  # None goes on where the layer ends
        st.integers(1, 400),
        st.sampled_from([1, 1, 1, 3, 70]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Late rows, and one beyond all others that leaves the open window without a row of its own.
@example(batches=[("a" * 36, "", None, 385, 1), ("a" * 36, "", 98, 6, 70)], window=(0, 1))
@given(batches=BATCHES, window=st.tuples(st.integers(0, 900), st.integers(1, 3000)))
def test_series_and_histograms_are_what_a_plain_computation_says(
    database: Database,
    settings: Settings,
    batches: list[tuple[str, str, int | None, int, int]],
    window: tuple[int, int],
) -> None:
    model = Model(database, settings)
    for seed, (writer, layer, start, number, stride) in enumerate(batches):
        ends = [step for own, step in model.stored if own == layer]
        begin = start if start is not None else max(ends, default=-1) + 1
        model.send(writer, rows_of(layer, begin, number, stride, seed))
    for layer in ("", "conv"):
        for buckets in (1, 7, 25, 5000):
            model.check(layer, 0, 10**6, buckets)
            model.check(layer, window[0], sum(window), buckets)


def test_what_is_derived_row_by_row_is_what_is_derived_from_all_rows(
    database: Database, settings: Settings
) -> None:
    model = Model(database, settings)
    rows = rows_of("", 0, 1200, 1, 0)
    for begin in range(0, 1200, 37):
        model.send("a" * 36, rows[begin : begin + 37])
    model.send("b" * 36, rows_of("", 500, 300, 1, 1))
    model.send("b" * 36, rows_of("", 0, 3, 64, 2))
    before = model.derived()
    assert {row[4] for row in before[0]} == {1, 2, 3}
    key = database.read_now(partial(key_of, run_id=model.id))
    database.write_now(partial(rebuild, run_key=key))
    after = model.derived()
    assert after[:2] == before[:2]
    model.check("", 0, 2000, MAX_BUCKETS)


def test_many_small_batches_write_each_cell_about_once(
    database: Database, settings: Settings
) -> None:
    model = Model(database, settings)
    written = 0

    def count(*args: Any) -> None:
        nonlocal written
        statement, parameters = args[2], args[3]
        if statement.startswith("INSERT INTO cells"):
            if "unnest" in statement:  # Postgres gets the columns, SQLite the rows
                written += len(parameters[0])
            else:
                written += len(parameters) if isinstance(parameters, list) else 1

    sa.event.listen(database._writing, "before_cursor_execute", count)
    rows = rows_of("", 0, 640, 1, 0)
    for begin in range(0, 640, 4):
        model.send("a" * 36, rows[begin : begin + 4])
    kept = database.read_now(lambda c: c.scalar(sa.select(sa.func.count()).select_from(cells)))
    assert kept == 9 * 8 + 9 + 1
    assert written == kept
