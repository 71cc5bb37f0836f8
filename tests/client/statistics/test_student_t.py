from __future__ import annotations

import pytest
from scipy import stats

from htga_client.statistics.student_t import t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 5, 10, 11, 20, 49, 1000])
def test_the_quantile_of_students_t_is_right(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-4)
