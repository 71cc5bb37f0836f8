import pytest
from scipy import stats

from htga.experiments.comparison import compare
from htga_client.statistics.resampling import bootstrap_interval, sign_flip_p

VALUES, BASELINE = [0.31, 0.28, 0.35, 0.30, 0.33], [0.30, 0.29, 0.31, 0.27, 0.28]


def test_a_comparison_is_of_pairs() -> None:
    found = compare(VALUES, BASELINE)
    expected = stats.ttest_rel(VALUES, BASELINE)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-4)
    differences = [a - b for a, b in zip(VALUES, BASELINE, strict=True)]
    assert found.mean == pytest.approx(sum(differences) / 5)
    assert found.p_sign_flip == sign_flip_p(differences)
    assert found.bootstrap == bootstrap_interval(differences)
    assert (found.n, found.same) == (5, False)


def test_equal_values_are_the_same() -> None:
    found = compare(VALUES, VALUES)
    assert found.same
    assert (found.mean, found.p, found.p_sign_flip) == (0, 1, 1)


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_what_makes_no_pairs_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=f"at least 2; got {len(a)} and {len(b)}"):
        compare(a, b)
