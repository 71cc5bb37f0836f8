from __future__ import annotations

from htga_dashboard.models.charts import METRICS, charts_of
from tests.support.series import run


def test_a_run_without_the_optimizer_has_no_chart_of_the_controller() -> None:
    assert [chart.name for chart in charts_of(run())] == ["tail", "norm"]


def test_a_chart_shows_only_what_the_run_has_measured() -> None:
    (chart,) = charts_of(run(summary={"beta": 0.1}))
    assert chart.name == "beta"
    assert [curve.key for curve in chart.curves] == ["beta"]


def test_every_metric_of_the_user_has_a_chart_under_its_own_name() -> None:
    charts = charts_of(run(summary={}, metrics=("accuracy", "loss")))
    assert [chart.title for chart in charts] == ["accuracy", "loss"]
    assert [chart.curves[0].key for chart in charts] == ["accuracy", "loss"]


def test_the_charts_of_hundreds_of_metrics_are_limited() -> None:
    names = tuple(f"metric {i}" for i in range(300))
    assert len(charts_of(run(summary={}, metrics=names))) == METRICS


def test_the_controllers_charts_show_the_bounds_of_the_optimizer() -> None:
    settings = {"gamma_bounds": [0.5, 2.0], "beta_bounds": "hostile"}
    bounded = run(
        summary={"gamma": 1.0, "beta": 0.1}, environment={"optimizer": {"settings": settings}}
    )
    gamma, beta = charts_of(bounded)
    assert gamma.levels == ((0.5, "at least 0.5"), (2.0, "at most 2"))
    assert beta.levels == ()


def test_the_band_of_single_values_needs_their_standard_error() -> None:
    (chart,) = charts_of(run(summary={"alpha_bar": 1.5, "alpha_stderr": 0.1}))
    assert chart.curves[0].stderr == "alpha_stderr"
    (chart,) = charts_of(run(summary={"alpha_bar": 1.5}))
    assert not chart.curves[0].stderr


def test_a_run_that_measures_its_updates_has_charts_of_them_and_no_other_run_has() -> None:
    names = ("lr", "update_norm", "weight_norm", "update_ratio", "update_cosine")
    charts = charts_of(run(summary=dict.fromkeys((*names, "update_alpha", "update_stderr"), 0.1)))
    assert [chart.name for chart in charts] == ["update", "ratio", "angle", "lengths", "rate"]
    update, ratio, angle, *_ = charts
    assert [(curve.key, curve.stderr) for curve in update.curves] == [
        ("update_alpha", "update_stderr")
    ]
    assert ratio.log
    assert ratio.about
    assert [curve.key for curve in angle.curves] == ["update_cosine"]
    assert not {chart.name for chart in charts} & {chart.name for chart in charts_of(run())}


def test_a_run_of_an_older_client_that_logged_its_learning_rate_has_one_chart_of_it() -> None:
    charts = charts_of(run(summary={"lr": 0.1}, metrics=("lr",)))
    assert [chart.title for chart in charts] == ["Learning rate"]
