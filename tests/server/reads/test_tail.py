from __future__ import annotations

from collections.abc import Callable

import httpx2
import numpy as np
import pytest
import torch

from htga.tail import LogHistogram
from htga_client.statistics.hill import hill_at
from htga_client.wire import histogram
from htga_server.reads.tail import describe

Post = Callable[..., httpx2.Response]


def pareto(alpha: float, n: int, *, bits: int = 3) -> LogHistogram:
    rng = np.random.default_rng(5)
    return LogHistogram(bits=bits).update(torch.from_numpy(rng.pareto(alpha, n) + 1.0).float())


@pytest.mark.parametrize("bits", [0, 3])
@pytest.mark.parametrize("k", [60, 1000, 9000])
def test_the_hill_plot_says_what_the_estimator_says_at_every_k(bits: int, k: int) -> None:
    counted = pareto(1.5, 100_000, bits=bits)
    told = describe(histogram.decode(counted.to_bytes()), run_id="r", layer="", step=0)
    wanted = counted.hill(k)
    place = told.k.index(int(wanted.k))
    assert told.alpha[place] == pytest.approx(float(wanted.alpha), rel=1e-6)
    assert told.stderr[place] == pytest.approx(float(wanted.stderr), rel=1e-4)
    assert told.magnitude[place] == pytest.approx(float(wanted.threshold))


def test_the_fit_is_near_the_truth_and_says_its_k() -> None:
    told = describe(histogram.decode(pareto(1.5, 100_000).to_bytes()), run_id="r", layer="", step=0)
    assert told.fit is not None
    assert abs(told.fit.alpha - 1.5) < 4 * told.fit.stderr
    assert told.fit.k in told.k
    assert told.survival[0] == 1.0
    assert told.survival == sorted(told.survival, reverse=True)


@pytest.mark.parametrize("counts", [[], [1], [7, 0, 0], [2**40, 1], [1] * 40])
def test_a_histogram_with_next_to_nothing_in_it_is_described_without_a_fit_or_an_error(
    counts: list[int],
) -> None:
    blob = histogram.encode(counts, bits=3, first=1000, n_zero=5)
    told = describe(histogram.decode(blob), run_id="r", layer="", step=0)
    assert told.n == sum(counts)
    assert told.fit is None or told.n >= 500


def test_the_tail_is_of_the_latest_histogram_by_a_step(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    where = f"/runs/{run_id}/tail"
    assert api.get(where).status_code == 404
    blobs = {step: histogram.encode([step + 1, 5], bits=3, first=900) for step in (3, 100, 170)}
    post([{"step": step, "histogram": blob} for step, blob in blobs.items()])
    post([{"step": 200, "alpha_hat": 1.0}])
    for asked, step in ((None, 170), (169, 100), (100, 100), (99, 3), (3, 3)):
        params = {} if asked is None else {"step": asked}
        told = api.get(where, params=params).json()
        assert (told["step"], told["n"]) == (step, step + 6)
    assert api.get(where, params={"step": 2}).status_code == 404
    assert api.get(where, params={"layer": "conv"}).status_code == 404


def test_the_index_over_steps_is_of_one_share_of_every_histogram_whatever_its_size(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    samples = {step: pareto(1.5, size) for step, size in ((1, 100_000), (2, 5_000), (3, 300))}
    post([{"step": step, "histogram": counts.to_bytes()} for step, counts in samples.items()])
    where = f"/runs/{run_id}/tail/steps"
    for fraction in (None, 0.05):
        params = {} if fraction is None else {"fraction": fraction}
        told = api.get(where, params=params).json()
        assert told["step"] == [1, 2, 3]
        assert told["n"] == [100_000, 5_000, 300]
        wanted = [round((fraction or 0.01) * n) for n in told["n"]]
        assert told["k"] == [k if k >= 10 else 0 for k in wanted]
        for alpha, k, counts in zip(told["alpha"], wanted, samples.values(), strict=True):
            expected = hill_at(counts.counts.numpy(), 3, k).alpha
            assert alpha == (pytest.approx(expected) if k >= 10 else None)
    bucket = api.get(where, params={"buckets": 1}).json()
    assert bucket["n"] == [105_300]
    assert api.get(where, params={"layer": "none"}).json()["step"] == []
    assert api.get(where, params={"fraction": 0}).status_code == 422


def test_layers_are_listed_with_their_ranks_and_steps(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": s, "layer": name, "alpha_hat": 1.0} for name in ("", "conv") for s in (1, 5)])
    post([{"step": 9, "layer": "conv", "rank": 1, "alpha_hat": 1.0}])
    found = api.get(f"/runs/{run_id}/layers").json()["items"]
    assert [tuple(layer.values()) for layer in found] == [
        ("", 0, 1, 5),
        ("conv", 0, 1, 5),
        ("conv", 1, 9, 9),
    ]


def test_what_has_not_changed_is_not_sent_again(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": 1, "alpha_hat": 1.0}])
    where, params = f"/runs/{run_id}/series", {"keys": "alpha_hat"}
    first = api.get(where, params=params)
    again = api.get(where, params=params, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    post([{"step": 2, "alpha_hat": 1.0}])
    later = api.get(where, params=params, headers={"if-none-match": first.headers["etag"]})
    assert later.json()["step"] == [1, 2]
