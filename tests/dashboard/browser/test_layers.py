"""The layers of a run: in a real Chromium, on a real collector."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import DATA, scroll_to, wait_for_length
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}" + "%s{0}" * 190
CELLS = f"() => ({DATA})('layers').data[0].z"
LABELS = f"() => ({DATA})('layers')?.layout?.yaxis?.ticktext"


def layer_rows(steps: range, **alpha: float) -> list[dict[str, object]]:
    return [
        {"step": step, "layer": name, "alpha_hat": value, "grad_norm": 0.5, "n_nonfinite": 0}
        for step in steps
        for name, value in alpha.items()
    ]


@pytest.fixture
def run_id(dashboard: Server, register: Register, send: Send) -> str:
    made = register(dashboard)
    send(dashboard, made, probe_rows(range(20)))
    send(dashboard, made, layer_rows(range(20), fc=3.0, conv=1.5, bias=math.nan))
    return made


def click_row(page: Page, row: int, name: str) -> None:
    plot = page.locator("#layers-plot .nsewdrag").first
    plot.scroll_into_view_if_needed()
    expect(plot).to_be_visible()
    rows = len(page.evaluate(LABELS))
    box = plot.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] * (row + 0.5) / rows
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.locator("#layers-plot .hoverlayer").get_by_text(name).wait_for()
    page.mouse.click(box["x"] + box["width"] / 2, y)


def test_a_click_on_a_layer_pins_it_and_the_address_says_so(
    watched: Page, dashboard: Server, run_id: str
) -> None:
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "layers")
    watched.wait_for_function(f"() => ({LABELS})()?.join() == 'conv,fc,bias'")
    click_row(watched, 0, "conv")
    wait_for_length(watched, "layer-0-alpha_hat", 20)
    expect(watched.locator("#layers-cards h2")).to_have_text(["conv"])
    assert "layer=conv" in watched.url
    click_row(watched, 1, "fc")
    expect(watched.locator("#layers-cards h2")).to_have_text(["conv", "fc"])
    watched.goto(watched.url)
    scroll_to(watched, "layers")
    expect(watched.locator("#layers-cards h2")).to_have_text(["conv", "fc"])
    watched.wait_for_function(f"() => ({LABELS})()?.length == 3")
    click_row(watched, 0, "conv")
    expect(watched.locator("#layers-cards h2")).to_have_text(["fc"])


def test_value_order_and_names_are_chosen(watched: Page, dashboard: Server, run_id: str) -> None:
    watched.goto(f"{dashboard.url}/run/{run_id}?order=name")
    scroll_to(watched, "layers")
    watched.wait_for_function(f"() => ({LABELS})()?.join() == 'bias,conv,fc'")
    watched.get_by_label("Names with").fill("C")
    watched.wait_for_function(f"() => ({LABELS})()?.join() == 'conv,fc'")
    watched.get_by_label("Names with").fill("zzz")
    expect(watched.locator("#layers-caption")).to_contain_text("none of 3 layers has 'zzz'")
    watched.get_by_label("Names with").fill("")
    watched.locator("#layers-key").press("Enter")
    watched.get_by_role("option", name="gradient norm").click()
    expect(watched.locator("#layers-title")).to_have_text("Gradient norm of each layer")
    watched.wait_for_url(f"{dashboard.url}/run/{run_id}?layers=grad_norm&order=name")


def test_the_picture_grows_with_its_run_and_shows_the_steps_that_are_shown(
    watched: Page, dashboard: Server, run_id: str, send: Send
) -> None:
    watched.goto(f"{dashboard.url}/run/{run_id}?layer=fc")
    scroll_to(watched, "layers")
    wait_for_length(watched, "layers", 20)
    send(dashboard, run_id, layer_rows(range(20, 40), fc=0.9))
    send(dashboard, run_id, probe_rows(range(20, 40)))
    wait_for_length(watched, "layers", 40)
    watched.locator("#run-first").fill("5")
    watched.locator("#run-last").fill("14")
    watched.locator("#run-last").press("Enter")
    wait_for_length(watched, "tail", 10)
    scroll_to(watched, "layers")
    wait_for_length(watched, "layers", 10)
    wait_for_length(watched, "layer-0-grad_norm", 10)
    assert "layer=fc" in watched.url


def test_three_thousand_layers_are_rows_of_many_that_open(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(3)))
    alpha = {f"blocks.{at}.weight": 2.0 + at / 3000 for at in range(3000)}
    alpha["blocks.1234.weight"] = 0.7
    send(dashboard, run_id, layer_rows(range(3), **alpha))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "layers")
    caption = watched.locator("#layers-caption")
    expect(caption).to_contain_text("3,000 layers, 47 to a row", timeout=30_000)
    wait_for_length(watched, "layers", 3)
    assert watched.evaluate(CELLS)[0] == [0.7, 0.7, 0.7]
    assert len(watched.evaluate(CELLS)) == 64
    click_row(watched, 0, "blocks.1234.weight")
    expect(caption).to_contain_text("47 of 3,000 layers", timeout=30_000)
    watched.wait_for_function(f"() => ({LABELS})().length == 47")
    assert watched.evaluate(LABELS)[0] == "blocks.1234.weight"
    assert watched.url.count("among=") == 47
    watched.goto(watched.url)
    scroll_to(watched, "layers")
    expect(caption).to_contain_text("47 of 3,000 layers", timeout=30_000)
    watched.wait_for_function(f"() => ({LABELS})()?.length == 47")
    click_row(watched, 0, "blocks.1234.weight")
    wait_for_length(watched, "layer-0-alpha_hat", 3)
    watched.get_by_role("button", name="All layers").click()
    expect(caption).to_contain_text("47 to a row", timeout=30_000)


def test_a_hostile_name_of_a_layer_is_shown_literally(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(3)))
    send(dashboard, run_id, layer_rows(range(3), **{HOSTILE: 1.5}))
    watched.set_viewport_size({"width": 390, "height": 844})
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "layers")
    watched.wait_for_function(f"() => ({LABELS})()?.length == 1")
    watched.locator("#layers-pinned").press("Enter")
    watched.get_by_role("option").first.click()
    wait_for_length(watched, "layer-0-alpha_hat", 3)
    watched.keyboard.press("Escape")
    expect(watched.locator("#layers-cards h2")).to_contain_text("<img src=x")
    assert watched.locator("main img").count() == 0
    assert watched.evaluate("document.documentElement.scrollWidth") == 390


def test_a_run_without_layers_does_not_speak_of_them(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(3)))
    with watched.expect_response(lambda answer: "_dash-update-component" in answer.url):
        watched.goto(f"{dashboard.url}/run/{run_id}")
        scroll_to(watched, "layers")
    wait_for_length(watched, "tail", 3)
    expect(watched.locator("#layers")).to_be_hidden()


def test_layers_are_small_charts_where_the_address_says_so(
    watched: Page, dashboard: Server, run_id: str
) -> None:
    watched.goto(f"{dashboard.url}/run/{run_id}?layers=grad_norm&as=multiples")
    scroll_to(watched, "layers")
    names = (
        f"() => ({DATA})('layers')?.layout?.annotations?.map(({{ text }}) => text).sort().join()"
    )
    watched.wait_for_function(f"() => ({names})() == 'bias,conv,fc'")
    expect(watched.locator("#layers-caption")).to_contain_text("on one scale")
    watched.locator("#layers-form").press("Enter")
    watched.get_by_role("option", name="heat map").click()
    watched.wait_for_function(f"() => ({LABELS})()?.length == 3")
    assert "as=" not in watched.url


def test_on_a_phone_the_small_charts_are_below_one_another(
    watched: Page, dashboard: Server, run_id: str
) -> None:
    watched.set_viewport_size({"width": 390, "height": 844})
    watched.goto(f"{dashboard.url}/run/{run_id}?layers=grad_norm&as=multiples")
    scroll_to(watched, "layers")
    lefts = f"() => ({DATA})('layers')?.layout?.annotations?.map(({{ x }}) => x).join()"
    watched.wait_for_function(f"() => ({lefts})() == '0,0,0'")
