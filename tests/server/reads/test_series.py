from __future__ import annotations

from collections.abc import Callable

import httpx2
import pyarrow as pa
import pytest

from htga_client.wire import ARROW_STREAM, histogram

Post = Callable[..., httpx2.Response]


def test_many_rows_become_few_buckets_that_keep_the_spike(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": i, "grad_norm": 250.0 if i == 777 else 1.0} for i in range(5000)])
    found = api.get(f"/runs/{run_id}/series", params={"keys": "grad_norm", "buckets": 50}).json()
    # Buckets of 128 steps: 125 is the least width that makes 50, and widths are 1 to 7 times 8**n.
    assert (found["buckets"], found["total"], len(found["step"])) == (40, 5000, 40)
    assert max(found["keys"]["grad_norm"]["max"]) == 250.0
    assert max(found["keys"]["grad_norm"]["mean"]) == pytest.approx(1 + 249 / 128)
    assert found["step"][-1] == 4999


def test_a_cursor_gives_only_what_came_later(api: httpx2.Client, run_id: str, post: Post) -> None:
    where = f"/runs/{run_id}/series"
    post([{"step": i, "alpha_hat": 1.0} for i in range(5)])
    cursor = api.get(where, params={"keys": "alpha_hat"}).json()["cursor"]
    nothing = api.get(where, params={"keys": "alpha_hat", "since": cursor}).json()
    assert (nothing["step"], nothing["cursor"]) == ([], None)
    post([{"step": i, "alpha_hat": 1.0} for i in range(5, 8)])
    later = api.get(where, params={"keys": "alpha_hat", "since": cursor}).json()
    assert later["step"] == [5, 6, 7]


def test_a_range_holds_its_start_and_not_its_stop(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": i, "alpha_hat": 1.0} for i in range(10)])
    where = f"/runs/{run_id}/series"
    found = api.get(where, params={"keys": "alpha_hat", "start": 3, "stop": 6}).json()
    assert found["step"] == [3, 4, 5]


def test_metrics_logged_every_few_steps_are_null_in_between(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": i, "alpha_hat": float(i)} for i in range(6)])
    post([{"step": i, "metrics": [("accuracy", i / 10)]} for i in (0, 4)])
    found = api.get(f"/runs/{run_id}/series", params={"keys": "alpha_hat,accuracy"}).json()
    assert found["keys"]["accuracy"]["last"] == [0.0, None, None, None, 0.4, None]
    assert found["keys"]["alpha_hat"]["last"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_arrow_and_json_say_the_same(api: httpx2.Client, run_id: str, post: Post) -> None:
    post([{"step": i, "alpha_hat": float("nan") if i == 1 else float(i)} for i in range(4)])
    where, params = f"/runs/{run_id}/series", {"keys": "alpha_hat"}
    answer = api.get(where, params=params, headers={"accept": ARROW_STREAM})
    table = pa.ipc.open_stream(answer.content).read_all()
    json = api.get(where, params=params).json()
    assert table["step"].to_pylist() == json["step"]
    assert [str(v) for v in table["alpha_hat.max"].to_pylist()] == ["0.0", "nan", "2.0", "3.0"]
    assert json["keys"]["alpha_hat"]["max"] == [0.0, "NaN", 2.0, 3.0]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"keys": "no such thing"}, "no such thing"),
        ({"keys": ""}, "keys must name"),
        ({"keys": "alpha_hat", "since": "yesterday"}, "yesterday"),
        ({"keys": "alpha_hat", "buckets": 0}, "buckets"),
        ({"keys": "alpha_hat", "start": -1}, "start"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_value(
    api: httpx2.Client, run_id: str, params: dict[str, str], words: str
) -> None:
    answer = api.get(f"/runs/{run_id}/series", params=params)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_histograms_are_summed_exactly_on_coarser_bins(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    blob = histogram.encode([1] * 16, bits=3, first=800, n_zero=2, n_nonfinite=1)
    post([{"step": i, "histogram": blob} for i in range(10)])
    where = f"/runs/{run_id}/histograms"
    found = api.get(where, params={"buckets": 2, "bits": 0}).json()
    assert found["counts"] == [[40, 40], [40, 40]]
    assert (found["step"], found["n_zero"], found["n_nonfinite"]) == ([4, 9], [10, 10], [5, 5])
    assert found["edges"] == histogram.edges(0, 100, 2).tolist()
    fine = api.get(where, params={"buckets": 1, "bits": 3}).json()
    assert fine["counts"] == [[10] * 16]


def test_a_long_stretch_of_histograms_is_read_from_sums_of_windows(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    blob = histogram.encode([1], bits=3, first=800)
    post([{"step": i, "histogram": blob} for i in range(6000)])
    where = f"/runs/{run_id}/histograms"
    found = api.get(where, params={"buckets": 150, "start": 100, "stop": 5100}).json()
    # Windows of 64 steps: 150 buckets would have 40, and so need every single histogram.
    assert found["step"] == [*range(127, 5100, 64), 5099]
    assert (found["total"], sum(map(sum, found["counts"]))) == (5000, 5000)
    short = api.get(where, params={"buckets": 14, "start": 0, "stop": 600}).json()
    assert short["step"] == [*range(47, 600, 48), 599]


def test_a_run_without_histograms_has_none(api: httpx2.Client, run_id: str) -> None:
    found = api.get(f"/runs/{run_id}/histograms").json()
    assert (found["step"], found["counts"], found["cursor"]) == ([], [], None)


def test_what_an_older_client_logged_under_the_name_of_a_scalar_is_still_found(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    rows = [{"step": i, "metrics": [("lr", 0.5)], "grad_norm": 1.0} for i in range(3)]
    assert post(rows).json()["accepted"] == 3
    where = f"/runs/{run_id}/series"
    found = api.get(where, params={"keys": "lr,grad_norm"}).json()["keys"]
    assert found["lr"]["last"] == [0.5] * 3
    assert found["grad_norm"]["last"] == [1.0] * 3
    post([{"step": 3, "layer": "fc", "lr": 0.25}])
    of_layer = api.get(where, params={"keys": "lr", "layer": "fc"}).json()["keys"]
    assert of_layer["lr"]["last"] == [0.25]
