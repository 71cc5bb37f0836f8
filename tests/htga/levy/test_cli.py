from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from htga import telemetry
from htga.cli.main import app
from htga.experiments.levy.recorded import noise_of_run
from htga.tail import stable_ecf
from htga_server.http.server import Server


def levy(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["levy", *arguments])


def report_of(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.slow
def test_an_experiment_prints_a_report_and_writes_figures_and_numbers(tmp_path: Path) -> None:
    arguments = ("exit-time", "--only", "e2", "--only", "E6", "--exits", "10", "--seed", "3")
    result = levy(*arguments, "--json", "--out", str(tmp_path))
    report = json.loads(result.stdout)
    assert result.exit_code == (not all(v["holds"] for v in report["verdicts"]))
    assert {v["experiment"] for v in report["verdicts"]} == {"E2", "E2b", "E6"}
    assert [v["stderr"] for v in report["verdicts"] if v["experiment"] == "E6"] == ["NaN"]
    names = {path.name for path in tmp_path.iterdir()}
    figures = {f"{name}.{kind}" for name in ("intensity", "memoryless") for kind in ("png", "html")}
    assert names == figures | {"exit_time.csv", "exit_time.json", "plotly.min.js"}
    assert json.loads((tmp_path / "exit_time.json").read_text()) == report
    with (tmp_path / "exit_time.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == pytest.approx(
        [point["mean"] for point in report["points"]], rel=1e-5
    )
    page = (tmp_path / "intensity.html").read_text()
    assert 'src="plotly.min.js"' in page
    assert "http" not in page.replace("http://www.w3.org", "")
    # What runs besides, and how often, changes no number.
    again = report_of(levy("exit-time", "--only", "E6", "--exits", "10", "--seed", "3", "--json"))
    assert [v for v in report["verdicts"] if v["experiment"] == "E6"] == again["verdicts"]


@pytest.mark.slow
def test_escapes_are_reported_with_the_law_beside_them(tmp_path: Path) -> None:
    common = ("--particles", "5000", "--steps", "30", "--target", "1.2", "--no-recorded")
    report = report_of(levy("escape", *common, "--json", "--out", str(tmp_path)))
    assert [row["control"] for row in report["escapes"]] == ["none", "gamma", "beta"]
    assert report["escapes"][2]["update_alpha"] == pytest.approx(1.2, abs=1e-3)
    assert report["escapes"][2]["narrow_law"] > report["escapes"][0]["narrow_law"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".html", ".js", ".csv", ".json"}
    table = levy("escape", *common)
    assert table.exit_code == 0
    assert "escapes per step" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exit-time", "--only", "E9"), "there is E1, E2"),
        (("escape", "--no-recorded", "--particles", "10"), "particles must be at least 5000"),
        (("escape", "--no-recorded", "--target", "-1"), "target_alpha"),
        (("escape", "--no-recorded", "--normalize", "l7"), "normalize"),
    ],
)
def test_bad_options_end_with_a_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = levy(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_runs_record_drives_the_noise_piece_by_piece() -> None:
    generator = torch.Generator().manual_seed(0)
    source = noise_of_run([1.2, 2.5], [3.0, 1.0], steps=4, generator=generator)
    draws = [source.draw(20_000) for _ in range(8)]
    found = [float(stable_ecf(x).alpha) for x in draws]
    assert found == pytest.approx([1.2, 1.2, 2.0, 2.0] * 2, abs=0.06)
    heavy, light = (x.abs().median().item() for x in (draws[0], draws[2]))
    assert heavy / light == pytest.approx(3.0, rel=0.15)  # medians of the two laws differ little


@pytest.mark.parametrize(
    ("alpha", "sigma"), [([], []), ([1.5], [0.0]), ([math.nan], [1.0])], ids=["none", "0", "nan"]
)
def test_a_record_that_cannot_drive_noise_is_refused(
    alpha: list[float], sigma: list[float]
) -> None:
    with pytest.raises(ValueError, match="no usable record of its noise"):
        noise_of_run(alpha, sigma, steps=4, generator=torch.Generator())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_escapes_are_driven_by_a_run_of_a_collector(collector: Server) -> None:
    parameter = torch.nn.Parameter(torch.ones(600))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    with telemetry.attach(optimizer, url=collector.url, name="noisy") as run:
        run.log(loss=1.0)
        assert run.flush(20)
        common = ("escape", "--particles", "5000", "--steps", "20", "--target", "1.5")
        where = ("--run", "noisy", "--url", collector.url, "--json")
        missing = levy(*common, *where)
        assert missing.exit_code == 1
        assert "no usable record of its noise" in missing.stderr
        run.measure_noise(lambda: parameter.dot(torch.randn(600)))
        assert run.flush(20)
    report = report_of(levy(*common, *where))
    assert {row["noise"] for row in report["escapes"]} == {"run"}
    assert report["run"] == "noisy"
