from __future__ import annotations

import warnings

import numpy as np
import powerlaw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from htga_client.statistics.which_law import compare_laws
from htga_client.wire import histogram

N = 20_000
RNG = np.random.default_rng(7)
LAWS: dict[str, NDArray[np.float64]] = {
    "power law": (1 - RNG.random(N)) ** (-1 / 1.5),
    "steep power law": (1 - RNG.random(N)) ** (-1 / 4.0),
    "exponential": 1 + RNG.exponential(0.7, N),
    "lognormal": stats.lognorm.isf(RNG.random(N) * stats.lognorm.sf(1, 1.0), 1.0),
}
"""Entries of at least 1."""


def binned(x: NDArray[np.float64], ratio: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    edges = ratio ** np.arange(np.ceil(np.log(x.max()) / np.log(ratio)) + 2)
    return edges, np.histogram(x, edges)[0]


def of_entries(x: NDArray[np.float64], law: str) -> tuple[float, float]:
    """The log-likelihood ratio and Vuong's z from the entries, by a general optimizer."""
    y = np.log(x)
    power = np.log(1 / y.mean()) - (1 / y.mean() + 1) * y
    if law == "exponential":
        other = -np.log((x - 1).mean()) - (x - 1) / (x - 1).mean()
    else:

        def density(at: NDArray[np.float64]) -> NDArray[np.float64]:
            spread = np.exp(at[1])
            normal = stats.norm.logpdf(y, at[0], spread) - y
            found: NDArray[np.float64] = normal - stats.norm.logsf(0, at[0], spread)
            return found

        best = optimize.minimize(
            lambda at: -density(at).sum(),
            np.array([y.mean(), np.log(y.std())]),
            method="Nelder-Mead",
            options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-7, "fatol": 1e-7},
        )
        other = density(best.x)
    difference = power - other
    return difference.sum(), difference.sum() / (difference.std() * np.sqrt(x.size))


@pytest.mark.parametrize("name", LAWS)
def test_it_says_what_a_fit_to_the_entries_says(name: str) -> None:
    x = LAWS[name]
    for test in compare_laws(*binned(x, 2 ** (1 / 64)), 1.0):
        ratio, z = of_entries(x, test.law)
        assert test.ratio == pytest.approx(ratio, rel=0.02, abs=0.1), test.law
        assert test.z == pytest.approx(z, rel=0.02, abs=0.05), test.law
        assert test.p == pytest.approx(2 * stats.norm.sf(abs(test.z)))


# Of steeper laws the package finds its own bound of the exponent, 3, instead of the best.
@pytest.mark.parametrize("name", ["power law", "lognormal"])
def test_it_says_what_the_powerlaw_package_says(name: str) -> None:
    x = LAWS[name]
    fit = powerlaw.Fit(x, xmin=1.0, verbose=False)
    for test in compare_laws(*binned(x, 2 ** (1 / 64)), 1.0):
        with warnings.catch_warnings(action="ignore"):
            z, p = fit.distribution_compare("power_law", test.law, normalized_ratio=True)
        assert test.z == pytest.approx(z, rel=0.02, abs=0.05), test.law
        assert test.p == pytest.approx(p, abs=0.02)


@pytest.mark.parametrize("name", LAWS)
def test_as_coarse_bins_as_those_of_telemetry_decide_the_same(name: str) -> None:
    x = LAWS[name]
    fine, coarse = (compare_laws(*binned(x, 2 ** (1 / bins)), 1.0) for bins in (64, 8))
    for one, other in zip(fine, coarse, strict=True):
        assert (one.p < 0.05, one.z > 0) == (other.p < 0.05, other.z > 0) or one.p > 0.01


def test_the_right_law_wins() -> None:
    verdicts = {
        name: {test.law: (test.p < 0.01) * np.sign(test.z) for test in compare_laws(
            *binned(x, 2 ** (1 / 8)), 1.0)}
        for name, x in LAWS.items()
    }  # fmt: skip
    assert verdicts["power law"] == {"lognormal": 0, "exponential": 1}
    assert verdicts["exponential"]["exponential"] == -1
    assert verdicts["lognormal"]["lognormal"] == -1


def test_the_likelihoods_are_those_of_the_closed_forms() -> None:
    x = LAWS["exponential"]
    power, exponential = (1 / np.log(x).mean(), 1 / (x - 1).mean())
    expected = (
        np.log(power) - (power + 1) * np.log(x) - np.log(exponential) + exponential * (x - 1)
    ).sum()
    (test,) = [one for one in compare_laws(*binned(x, 1.001), 1.0) if one.law == "exponential"]
    assert test.ratio == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "counts", [[], [0, 0, 0], [50, 0, 0], [10**9, 1, 0], [0, 0, 1], [1, 1, 1], [0, 10**12, 10**12]]
)
def test_a_tail_with_next_to_nothing_in_it_is_no_error(counts: list[int]) -> None:
    edges = np.exp2(np.arange(len(counts) + 1, dtype=np.float64))
    for test in compare_laws(edges, np.array(counts, np.int64), 1.0):
        assert np.isfinite([test.ratio, test.z, test.p]).all()
        assert 0 <= test.p <= 1


@given(
    filled=st.dictionaries(st.integers(8, 2039), st.integers(1, 10**9), min_size=1, max_size=40),
    place=st.integers(0, 39),
)
def test_any_histogram_has_a_finite_answer_and_no_warning(
    filled: dict[int, int], place: int
) -> None:
    edges, counts = histogram.edges(3, 0, 2040), np.zeros(2040, np.int64)
    for at, count in filled.items():
        counts[at] = count
    threshold = edges[sorted(filled)[place % len(filled)]]
    for test in compare_laws(edges, counts, float(threshold)):
        assert np.isfinite([test.ratio, test.z, test.p]).all()
        assert 0 <= test.p <= 1
