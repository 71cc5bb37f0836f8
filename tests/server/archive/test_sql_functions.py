"""Histograms in SQL, against NumPy on the entries that they count."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
import torch

from htga.tail import LogHistogram
from htga_server.archive.sql_functions import create_functions


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        create_functions(connection)
        yield connection


def sample(seed: int, n: int = 50_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, generator=generator, dtype=torch.float64).pow(-1 / 1.5)


def encoded(x: torch.Tensor) -> bytes:
    return LogHistogram().update(x).to_bytes()


def ask(duck: duckdb.DuckDBPyConnection, sql: str, *values: object) -> object:
    (row,) = duck.execute(f"SELECT {sql}", list(values)).fetchall()
    return row[0]


def test_the_index_of_a_tail_is_that_of_its_law(duck: duckdb.DuckDBPyConnection) -> None:
    blob = encoded(sample(0))
    assert ask(duck, "hill(?, 2000)", blob) == pytest.approx(1.5, rel=0.07)
    assert ask(duck, "hill(?, 60000)", blob) is None
    assert ask(duck, "hill(?, -1)", blob) is None
    assert ask(duck, "hill(NULL, 10)") is None


def test_a_quantile_is_within_its_bin(duck: duckdb.DuckDBPyConnection) -> None:
    x = torch.cat([sample(1), torch.zeros(10_000, dtype=torch.float64)])
    blob = encoded(x)
    for q in (0.0, 0.1, 0.2, 0.5, 0.9, 0.999, 1.0):
        exact = float(np.quantile(x.numpy(), q))
        assert ask(duck, "histogram_quantile(?, ?)", blob, q) == pytest.approx(
            exact, rel=2 ** (1 / 8) - 1
        )
    with pytest.raises(duckdb.Error, match="q must be between 0 and 1"):
        ask(duck, "histogram_quantile(?, 2)", blob)


def test_bins_hold_every_entry_and_merged_ones_those_of_all(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    parts = [sample(seed, 1000) * 10**seed for seed in range(3)]
    many = [encoded(sample(seed, 20)) for seed in range(150)]  # more than are summed at once
    whole = encoded(torch.cat([sample(seed, 20) for seed in range(150)]))
    assert ask(duck, "merge(?::BLOB[])", many) == whole
    blobs = [encoded(part) for part in parts]
    merged = ask(duck, "merge(?::BLOB[])", [*blobs, None])
    assert merged == encoded(torch.cat(parts))
    bins = ask(duck, "histogram_bins(?)", merged)
    assert isinstance(bins, list)
    assert sum(one["entries"] for one in bins) == 3000
    for one in bins:
        x = torch.cat(parts)
        inside = (x >= one["lower"]) & (x < one["upper"])
        assert int(inside.sum()) == one["entries"]
    assert ask(duck, "merge([NULL::BLOB])") is None
    assert ask(duck, "merge([]::BLOB[])") is None


@pytest.mark.parametrize(
    "call", ["hill(?, 10)", "histogram_quantile(?, 0.5)", "histogram_bins(?)", "merge([?])"]
)
@pytest.mark.parametrize("blob", [b"", b"no histogram", b"\xff" * 40])
def test_bytes_that_are_no_histogram_are_an_error_that_says_so(
    call: str, blob: bytes, duck: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(duckdb.Error, match="histogram"):
        ask(duck, call, blob)
