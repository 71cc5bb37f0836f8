"""The whole product at once: a real server process, a real training process, a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page

from htga_client import Client
from tests.support.charts import wait_for_points
from tests.support.processes import collecting, training

STEPS, PAUSE_AT = 200, 80


@pytest.mark.browser
def test_a_run_is_watched_live_and_every_step_of_it_is_stored(page: Page, tmp_path: Path) -> None:
    page.set_default_timeout(120_000)
    trouble: list[str] = []
    hosts: set[str] = set()

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            trouble.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))

    with (
        collecting(tmp_path / "data") as collector,
        training(collector.url, tmp_path / "computed.json", steps=STEPS, pause_at=PAUSE_AT) as run,
    ):
        page.goto(f"{collector.url}/run/{run.run_id}")
        for chart in ("tail", "gamma", "beta", "norm", "variance"):
            wait_for_points(page, chart, PAUSE_AT - 1)
        assert run.process.poll() is None
        run.go_on()
        assert wait_for_points(page, "tail", PAUSE_AT + 1) <= STEPS
        computed = run.computed()
        assert wait_for_points(page, "tail", STEPS) == STEPS
        assert wait_for_points(page, "heat", STEPS) >= STEPS
        page.get_by_text("finished").first.wait_for()
        assert trouble == []
        assert hosts == {collector.url.removeprefix("http://")}

        with Client(collector.url) as client:
            table = client.series(run.run_id, list(computed[0]), buckets=STEPS)
            assert client.run(run.run_id).state == "finished"
    assert table["step"].to_pylist() == list(range(STEPS))
    for name in computed[0]:
        told = [values[name] for values in computed]
        # The norm is telemetry's own, of the raw gradient, added up in another order.
        same = pytest.approx(told, rel=1e-12) if name == "grad_norm" else told
        assert table[name].to_pylist() == same, name
