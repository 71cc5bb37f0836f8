"""The table of runs: in a real Chromium, on a real collector."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.rows import new_run, probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

NAMES = ".ag-row:visible [col-id=name]"
GROUPS = ".ag-row .group-row"


@pytest.fixture
def sweep(dashboard: Server, register: Register, send: Send) -> dict[str, str]:
    """Four runs of two methods; returns their ids by name."""
    made = {}
    for method in ("sgd", "htga"):
        for seed, lr in enumerate((0.1, 0.01)):
            name = f"{method}-{seed}"
            config = {"method": method, "optimizer": {"lr": lr}, "seed": seed, "epochs": 3}
            made[name] = register(dashboard, name=name, config=config, tags=[f"tag-{seed}"])
            send(dashboard, made[name], probe_rows(range(3), alpha_bar=1.0 + seed))
    return made


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("method:htga lr<0.05", {"htga-1"}),
        ("-method=sgd", {"htga-0", "htga-1"}),
        ("sgd seed!=0", {"sgd-1"}),
        ("tag:tag-1 alpha_bar>=2 archived:no", {"sgd-1", "htga-1"}),
        ("archived:yes", set()),
        ('"optimizer.lr=0.1"', {"sgd-0", "htga-0"}),
        ("state:running optimizer.lr=1e-1 method:gd", {"sgd-0"}),
        ("epochs:3 <b>", set()),
    ],
)
def test_a_search_finds_text_settings_and_numbers(
    watched: Page, dashboard: Server, sweep: dict[str, str], search: str, found: set[str]
) -> None:
    watched.goto(dashboard.url)
    expect(watched.locator(NAMES)).to_have_count(len(sweep))
    watched.get_by_label("Search").fill(search)
    expect(watched.locator(NAMES)).to_have_count(len(found))
    assert set(watched.locator(NAMES).all_inner_texts()) == found
    expect(watched.locator("#runs-hint")).to_be_empty()
    watched.reload()
    expect(watched.get_by_label("Search")).to_have_value(search)
    expect(watched.locator(NAMES)).to_have_count(len(found))


def test_a_search_for_what_no_run_has_says_so(
    watched: Page, dashboard: Server, sweep: dict[str, str]
) -> None:
    watched.goto(f"{dashboard.url}/?q=lrr<0.01")
    expect(watched.get_by_text("No run has anything called “lrr”.")).to_be_visible()
    expect(watched.locator("#runs-count")).to_have_text(f"0 of {len(sweep)} runs")


def test_a_search_finds_the_oldest_of_more_runs_than_are_loaded(
    watched: Page, dashboard: Server, register: Register
) -> None:
    register(dashboard, name="first of all", config={"lr": 0.125})
    with httpx2.Client(base_url=f"{dashboard.url}/api/v1") as client:
        for place in range(1001):
            assert client.post("/runs", json=new_run(name=f"run {place}")).status_code == 201
    watched.goto(dashboard.url)
    count = watched.locator("#runs-count")
    more = watched.get_by_role("button", name="Load 1,000 more")
    expect(count).to_have_text("1,002 runs, the newest 1,000 loaded")
    watched.get_by_label("Search").fill("lr=0.125")
    expect(watched.locator(NAMES)).to_have_text(["first of all"])
    expect(count).to_have_text("1 of 1,002 runs")
    expect(more).to_be_hidden()
    watched.get_by_label("Search").fill("name:run")
    expect(count).to_have_text("1,001 of 1,002 runs, the newest 1,000 loaded")
    more.click()
    expect(count).to_have_text("1,001 of 1,002 runs")
    expect(more).to_be_hidden()
    watched.get_by_label("Search").fill("")
    expect(count).to_have_text("1,002 runs")


def test_the_rows_follow_what_the_search_finds_while_runs_train(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    low, high = (register(dashboard, name=name) for name in ("low", "high"))
    for run_id, value in ((low, 1.0), (high, 3.0)):
        send(dashboard, run_id, probe_rows(range(1), alpha_bar=value))
    watched.goto(f"{dashboard.url}/?q=alpha_bar>2")
    expect(watched.locator(NAMES)).to_have_text(["high"])
    count = watched.locator("#runs-count")
    expect(count).to_have_text("1 of 2 runs")
    send(dashboard, low, probe_rows(range(1, 2), alpha_bar=5.0))
    expect(watched.locator(NAMES)).to_have_text(["high", "low"])
    expect(count).to_have_text("2 runs")
    send(dashboard, high, probe_rows(range(1, 2), alpha_bar=1.0))
    expect(watched.locator(NAMES)).to_have_text(["low"])
    expect(count).to_have_text("1 of 2 runs")
    register(dashboard, name="new")
    expect(count).to_have_text("1 of 3 runs")


def test_groups_show_means_open_to_their_runs_and_follow_these(
    watched: Page, dashboard: Server, sweep: dict[str, str], send: Send
) -> None:
    watched.goto(f"{dashboard.url}/?by=method&columns=settings")
    expect(watched.locator(GROUPS)).to_have_count(2)
    sgd = watched.locator(".ag-row:has-text('method=sgd')")
    expect(sgd.locator("[col-id=state]")).to_have_text("n = 2")
    expect(sgd.locator("[col-id=alpha_bar]")).to_have_text("1.5 ± 0.71")
    sgd.get_by_role("button").press("Enter")
    expect(watched.locator(".ag-row .member")).to_have_text(["sgd-1", "sgd-0"])
    expect(watched.locator(".ag-row:has-text('sgd-1') [col-id='setting seed']")).to_have_text("1")
    expect(watched.locator("[col-id='setting epochs']")).to_have_count(0)
    expect(sgd.locator("[col-id='setting method']")).to_have_text("sgd")  # of all, unlike the seed
    expect(sgd.locator("[col-id='setting seed']")).to_have_text("")
    send(dashboard, sweep["sgd-0"], probe_rows(range(3, 5), alpha_bar=4.0))
    expect(sgd.locator("[col-id=alpha_bar]")).to_have_text("3 ± 1.4")
    watched.get_by_text("alpha_bar", exact=True).click()
    expect(watched.locator(".ag-row[row-index='0']")).to_contain_text("method=htga")
    expect(watched.locator(".ag-row[row-index='2']")).to_contain_text("sgd-1")


@pytest.mark.usefixtures("sweep")
def test_a_group_says_on_a_phone_how_many_runs_it_has(watched: Page, dashboard: Server) -> None:
    watched.set_viewport_size({"width": 390, "height": 844})
    watched.goto(f"{dashboard.url}/?by=method")
    sgd = watched.locator(".ag-row:has-text('method=sgd')")
    expect(sgd.locator("[col-id=state]")).to_have_text("n = 2")


def test_the_trend_of_a_run_is_drawn_in_its_row(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    for step, value in enumerate((1.0, 3.0, 2.0)):
        send(dashboard, run_id, probe_rows(range(step, step + 1), alpha_bar=value))
    watched.goto(dashboard.url)
    path = watched.locator(".ag-row .sparkline path")
    expect(path).to_have_attribute("d", "M0.0 24.0L48.0 2.0L96.0 13.0")
    row = {"rows": [{"step": 3, "alpha_hat": 2.0}]}
    receipt = httpx2.post(f"{dashboard.url}/api/v1/runs/{run_id}/rows", json=row).json()
    assert receipt["min_interval"] == 2.0, "a row of the table counts as a view of the run"


def test_selected_runs_are_deleted_and_restored(
    watched: Page, dashboard: Server, sweep: dict[str, str]
) -> None:
    watched.goto(f"{dashboard.url}/?q=method:sgd")
    expect(watched.locator(NAMES)).to_have_count(2)
    expect(watched.get_by_role("toolbar")).to_be_hidden()
    # The bell has loaded the events of all runs; a run deleted meanwhile would have none.
    expect(watched.locator("#alerts-list li")).to_have_count(1)
    watched.locator(".ag-header input[type=checkbox]").check()
    watched.get_by_role("button", name="Delete").click()
    expect(watched.get_by_text("2 runs deleted.")).to_be_visible()
    expect(watched.locator(NAMES)).to_have_count(0)
    assert httpx2.get(f"{dashboard.url}/api/v1/runs/{sweep['sgd-0']}").status_code in {404, 410}
    watched.get_by_role("button", name="Undo").click()
    expect(watched.get_by_text("2 runs restored.")).to_be_visible()
    expect(watched.locator(NAMES)).to_have_count(2)
    expect(watched.get_by_role("button", name="Undo")).to_be_hidden()


@pytest.mark.usefixtures("sweep")
def test_selected_runs_are_tagged_grouped_and_archived_and_refusals_are_shown(
    watched: Page, dashboard: Server
) -> None:
    watched.goto(f"{dashboard.url}/?q=htga-1")
    expect(watched.locator(NAMES)).to_have_count(1)
    mark = watched.locator(".ag-row input[type=checkbox]")
    mark.check()
    watched.get_by_role("button", name="Tag").click()
    watched.get_by_label("Tags").fill("keep, <b>, keep")
    watched.get_by_role("button", name="Add").click()
    expect(watched.get_by_text("1 run tagged.")).to_be_visible()
    expect(watched.locator(".ag-row [col-id=tags]")).to_have_text("tag-1, keep, <b>")
    expect(watched.locator("dialog[open]")).to_have_count(0)

    mark.check()
    watched.get_by_role("button", name="Put into a group").click()
    watched.get_by_label("Group; empty for none").fill("best")
    watched.get_by_role("button", name="Put", exact=True).click()
    expect(watched.locator(".ag-row [col-id=group]")).to_have_text("best")

    mark.check()
    watched.get_by_role("button", name="Archive").click()
    expect(watched.get_by_text("0 of 1 runs archived. 1 not:")).to_be_visible()


def test_on_a_phone_all_columns_are_within_the_table(
    watched: Page, dashboard: Server, sweep: dict[str, str]
) -> None:
    watched.set_viewport_size({"width": 390, "height": 844})
    watched.goto(dashboard.url)
    expect(watched.locator(NAMES)).to_have_count(len(sweep))
    heads = watched.locator(".ag-header-cell-text")
    expect(heads).to_have_text(["", "name", "state", "alpha_bar"])
    overflow = "() => document.querySelector('.ag-center-cols-viewport').scrollWidth"
    room = "() => document.querySelector('.ag-center-cols-viewport').clientWidth"
    watched.wait_for_function(f"() => ({overflow})() <= ({room})()")


def test_a_column_in_which_no_run_has_anything_is_left_out_until_one_has(
    watched: Page, dashboard: Server, register: Register, sweep: dict[str, str]
) -> None:
    watched.goto(dashboard.url)
    expect(watched.locator(NAMES)).to_have_count(len(sweep))
    heads = watched.locator(".ag-header-cell-text")
    expect(heads.filter(has_text="tags")).to_be_visible()
    expect(heads.filter(has_text="group")).to_have_count(0)
    register(dashboard, name="grouped", group="night")
    expect(heads.filter(has_text="group")).to_be_visible()


def test_a_new_page_requests_only_the_latest_runs(
    watched: Page, dashboard: Server, sweep: dict[str, str]
) -> None:
    with watched.expect_request(lambda asked: "runs-changes" in (asked.post_data or "")) as asked:
        watched.goto(dashboard.url)
    (news,) = json.loads(asked.value.post_data or "")["inputs"]
    assert news["value"]["runs"] == ["latest"]
    expect(watched.locator(NAMES)).to_have_count(len(sweep))
