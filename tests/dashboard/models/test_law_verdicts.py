from __future__ import annotations

from htga_client.statistics.which_law import LawTest
from htga_dashboard.models.law_verdicts import law_verdicts


def law_test(law: str, z: float, p: float) -> LawTest:
    return LawTest(law=law, ratio=z, z=z, p=p)


def test_each_other_law_has_a_verdict_with_its_p() -> None:
    said = law_verdicts([law_test("lognormal", -5.0, 1e-7), law_test("exponential", 2.5, 0.0124)])
    assert said == (
        "power law against lognormal: worse, p < 0.001; against exponential: better, p = 0.012"
    )
    assert law_verdicts([law_test("lognormal", -0.8, 0.4)]) == (
        "power law against lognormal: cannot be told, p = 0.4"
    )
    assert not law_verdicts([])
