from __future__ import annotations

from htga_client.wire.flat_config import flat
from htga_dashboard.models.config import named
from htga_dashboard.models.differences import Row, differing, keys_of, usual_keys
from tests.support.series import run


def test_only_differing_settings_are_listed_with_a_dash_for_missing_ones() -> None:
    runs = [
        run(config={"lr": 0.1, "seed": 1, "net": {"width": 8}, "same": True}),
        run(config={"lr": 0.1, "seed": 2, "same": True}),
    ]
    assert differing(runs) == [
        Row(name="net.width", values=("8", "–")),
        Row(name="seed", values=("1", "2")),
    ]
    assert differing(runs[:1]) == []


def test_settings_are_named_by_their_path_and_written_as_json_but_for_text() -> None:
    config = {"a": {"b": {"c": [1, "x"]}, "empty": {}}, "none": None, "text": "x", "yes": True}
    assert flat(config) == {
        "a.b.c": '[1, "x"]',
        "a.empty": "{}",
        "none": "null",
        "text": "x",
        "yes": "true",
    }


def test_keys_are_the_probes_in_their_order_and_then_metrics_by_name() -> None:
    runs = [run(summary={"loss": 1.0, "xi": 0.5, "alpha_hat": 1.5}), run(summary={"acc": 1.0})]
    assert keys_of(runs) == ["alpha_hat", "xi", "acc", "loss"]


def test_unless_somebody_chose_the_tail_the_norm_and_the_commonest_metrics_are_drawn() -> None:
    common = {"alpha_bar": 1.5, "grad_norm": 1.0, "loss": 1.0}
    runs = [run(summary=common | {f"rare-{i}": 1.0}) for i in range(9)]
    assert usual_keys(runs)[:3] == ["alpha_bar", "grad_norm", "loss"]
    assert len(usual_keys(runs)) == 6
    assert usual_keys([]) == []


def test_group_is_the_runs_group_unless_a_setting_has_that_name() -> None:
    plain, named_so = run(config={"lr": 0.1}), run(config={"group": "a"})
    assert named("lr", [plain]) == "config.lr"
    assert named("group", [plain]) == "group"
    assert named("group", [plain, named_so]) == "config.group"
