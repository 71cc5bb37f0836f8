from __future__ import annotations

import asyncio
import inspect
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from dash import Dash
from fastapi import FastAPI

import htga_dashboard
from htga_dashboard.app import create_app
from htga_dashboard.components import ids
from htga_dashboard.figures.plotly_script import PATH
from htga_dashboard.figures.theme import DARK, LIGHT, Theme
from htga_dashboard.http.dash_scripts import tables
from htga_dashboard.source.source import Source
from htga_server.http.server import Server

NOBODY = "http://127.0.0.1:9"


def app_without_collector() -> Dash:
    return create_app(Source(httpx2.AsyncClient(base_url=NOBODY)))


def page_text(server: Server, path: str) -> str:
    """The response of Dash's router for an address, as JSON text."""
    href = server.url + path
    body = {
        "output": f"{ids.PAGE}.children",
        "outputs": {"id": ids.PAGE, "property": "children"},
        "inputs": [{"id": ids.URL, "property": "pathname", "value": path}],
        "state": [
            {"id": ids.URL, "property": "href", "value": href},
            {"id": ids.THEME, "property": "data", "value": "light"},
        ],
        "changedPropIds": [f"{ids.URL}.pathname"],
    }
    answer = httpx2.post(f"{server.url}/_dash-update-component", json=body)
    assert answer.status_code == 200
    return json.dumps(answer.json())


def test_no_callback_holds_up_the_event_loop() -> None:
    callbacks: dict[str, Any] = app_without_collector().callback_map
    of_server = {
        name: entry["callback"] for name, entry in callbacks.items() if "callback" in entry
    }
    assert of_server
    assert [name for name, call in of_server.items() if not inspect.iscoroutinefunction(call)] == []


def test_every_id_in_a_callback_is_that_of_a_component() -> None:
    app: Any = app_without_collector()
    assert not app.config.suppress_callback_exceptions
    known = {str(getattr(c, "id", None)) for c in app.validation_layout._traverse()}
    for entry in app._callback_list:
        for end in (*entry["inputs"], *entry["state"]):
            pattern = end["id"].startswith("{")  # of as many components as there may be
            assert (
                json.loads(end["id"])["type"] in vars(ids).values()
                if pattern
                else (end["id"] in known)
            ), end


def test_the_browsers_code_names_components_that_there_are() -> None:
    assets = Path(htga_dashboard.__file__).parent / "assets"
    known = {value for value in vars(ids).values() if isinstance(value, str)}
    pattern = r'(?:getElementById|set_props|htga.grid|includes)\("([a-z-]+)[".]'
    named = {
        name for script in assets.glob("*.js") for name in re.findall(pattern, script.read_text())
    }
    assert {"live", "runs-grid", "run-growth", "theme"} <= named <= known


def test_pages_come_with_a_policy_that_lets_no_foreign_script_in(dashboard: Server) -> None:
    for path, status in (("/", 200), ("/run/x", 200), ("/nothing", 404)):
        answer = httpx2.get(dashboard.url + path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == status
        assert "default-src 'self'" in policy
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
        assert '<link rel="stylesheet" href="/assets/base.css' in answer.text
        assert "https://" not in answer.text


def test_every_page_answers_a_head_and_refuses_a_post(dashboard: Server) -> None:
    for path, status in (("/", 200), ("/run/x", 200), ("/nothing", 404)):
        assert httpx2.head(dashboard.url + path).status_code == status
        assert httpx2.post(dashboard.url + path).status_code == 405


def test_a_health_check_may_send_a_head_request(dashboard: Server) -> None:
    for path in ("/healthz", "/readyz"):
        answer = httpx2.head(dashboard.url + path)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("script", ["dash/nothing.js", "nothing/at_all.js", "plotly/nothing.js"])
def test_a_script_that_dash_does_not_have_is_not_found(dashboard: Server, script: str) -> None:
    answer = httpx2.get(f"{dashboard.url}/_dash-component-suites/{script}")
    assert (answer.status_code, "No such script" in answer.text) == (404, True)


def test_plotly_is_fetched_once_and_kept(dashboard: Server) -> None:
    answer = httpx2.get(dashboard.url + PATH)
    assert answer.text.startswith("/**\n* plotly.js v")
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in httpx2.get(f"{dashboard.url}/assets/base.css").headers.get(
        "cache-control", ""
    )


def test_the_api_keeps_its_addresses(dashboard: Server) -> None:
    assert httpx2.get(f"{dashboard.url}/api/v1/runs").json() == {
        "items": [],
        "next": None,
        "total": None,
        "unknown": [],
    }
    typo = httpx2.get(f"{dashboard.url}/api/v1/rnus")
    assert typo.status_code == 404
    assert typo.headers["content-type"] == "application/problem+json"
    assert httpx2.get(f"{dashboard.url}/healthz").json() == {"status": "ok"}
    assert "/api/v1/runs" in httpx2.get(f"{dashboard.url}/openapi.json").json()["paths"]


def test_the_latest_run_has_an_address(dashboard: Server, register: Any) -> None:
    latest = f"{dashboard.url}/run/latest"
    assert httpx2.get(latest).headers["location"] == "/"
    register(dashboard, name="old")
    newest = register(dashboard, name="new")
    assert httpx2.get(latest).headers["location"] == f"/run/{newest}"


def test_the_page_of_a_run_and_the_table_are_served(dashboard: Server, register: Any) -> None:
    run_id = register(dashboard, name="quiet-maple")
    assert "quiet-maple" in page_text(dashboard, "/")
    assert "quiet-maple" in page_text(dashboard, f"/run/{run_id}")


def test_the_first_page_comes_with_the_layout(dashboard: Server, register: Any) -> None:
    path = f"/run/{register(dashboard, name='quiet-maple')}"
    asked = {"href": f"{dashboard.url}{path}?at=3", "theme": "dark"}
    answer = httpx2.get(f"{dashboard.url}/_layout", params=asked)
    location, palette, *_ = answer.json()["props"]["children"]
    assert location["props"]["pathname"] == path
    assert palette["props"]["data"] == "dark"
    assert "quiet-maple" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("name", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_the_figures_come_with_the_layout_in_the_theme_that_the_browser_wants(
    dashboard: Server, register: Any, send: Any, name: str, palette: Theme
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, [{"step": step, "alpha_hat": 1.5} for step in range(5)])
    asked = {"href": f"{dashboard.url}/run/{run_id}", "theme": name}
    text = httpx2.get(f"{dashboard.url}/_layout", params=asked).text
    assert palette.surface in text
    assert ({LIGHT, DARK} - {palette}).pop().surface not in text


def test_no_page_loads_what_it_does_not_need(dashboard: Server) -> None:
    document = httpx2.get(dashboard.url).text
    scripts = re.findall(r'<script src="([^"]*)"', document)
    assert any("dash_renderer" in script for script in scripts)
    assert not [s for s in scripts if re.search("polyfill|dash_table|ag_grid|plotly", s)]
    tables = re.findall(r'data-tables="([^"]*)"', document)[0].split()
    for script, size in zip((PATH, *tables), (4e6, 1e6, 5e5), strict=True):
        answer = httpx2.get(dashboard.url + script)
        assert answer.status_code == 200
        assert len(answer.content) > size
        assert "max-age=31536000" in answer.headers["cache-control"]


def test_another_version_of_the_tables_library_is_reported_at_once() -> None:
    with pytest.raises(RuntimeError, match="no script in"):
        tables('<script src="/other.js">')


def test_a_missing_page_is_named_in_words(dashboard: Server) -> None:
    assert "No such run" in page_text(dashboard, "/run/00000000-0000-0000-0000-000000000000")
    assert "No such page" in page_text(dashboard, "/nothing/here")


def test_without_a_collector_the_page_says_so() -> None:
    server = app_without_collector().server
    with Server(server).background() as alone:
        assert f"{NOBODY} does not answer" in page_text(alone, "/").replace(":9/", ":9")
        assert httpx2.get(f"{alone.url}/run/latest").headers["location"] == "/"


def test_two_dashboards_in_one_process_do_not_mix() -> None:
    first, second = FastAPI(), FastAPI()
    for server in (first, second):
        client = httpx2.AsyncClient(base_url=NOBODY)
        create_app(Source(client), server=server)

    async def ask(server: FastAPI) -> int:
        transport = httpx2.ASGITransport(app=server)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/run/x")).status_code

    assert asyncio.run(ask(first)) == asyncio.run(ask(second)) == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_a_dashboard_on_its_own_does_nothing_for_pages_of_others(
    headers: dict[str, str], status: int
) -> None:
    with Server(app_without_collector().server).background() as alone:
        body = {
            "output": "page.children",
            "outputs": {"id": "page", "property": "children"},
            "inputs": [{"id": "url", "property": "pathname", "value": "/nothing"}],
            "state": [
                {"id": "url", "property": "href", "value": f"{alone.url}/nothing"},
                {"id": "theme", "property": "data", "value": "light"},
            ],
            "changedPropIds": ["url.pathname"],
        }
        address = f"{alone.url}/_dash-update-component"
        assert httpx2.post(address, json=body, headers=headers).status_code == status
        own = {"origin": alone.url}
        assert httpx2.post(address, json=body, headers=own).status_code == 200
