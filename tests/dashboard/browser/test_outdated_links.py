"""Outdated and mistyped addresses: invalid parts are ignored."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import scroll_to, wait_for_length
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

NONSENSE = (
    "steps=9-1&at=x&k=-1&of=gone&layers=nope&as=x&order=x&among=gone&layer=gone&theme=x&new=1"
)


def test_a_runs_page_draws_what_an_outdated_address_leaves_to_be_drawn(
    watched: Page, dashboard: Server, register: Callable[..., str], send: Callable[..., None]
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(30)))
    send(dashboard, run_id, [{"step": 0, "layer": "fc", "alpha_hat": 1.5, "grad_norm": 0.5}])
    watched.goto(f"{dashboard.url}/run/{run_id}?{NONSENSE}")
    wait_for_length(watched, "norm", 30)
    for section in ("snapshot", "layers"):
        scroll_to(watched, section)
        expect(watched.locator(f"#{section}")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/compare?x=x&smooth=abc&band=x&runs=,,gone", "no longer there: 1"),
        ("/experiments?study=gone&metric=gone&take=x&better=x", "gone"),
        ("/?by=gone&columns=gone&q=state:gone", "No run matches the search"),
        ("/query?sql=SELECT+gone", "The query was not answered"),
        ("/run/latest/", "No such run"),
        ("/run/%3Cb%3E%2F..%2F", "No such run"),
        ("/compare/gone", "No such page"),
    ],
)
def test_a_broken_address_is_answered_in_words(
    page: Page, dashboard: Server, register: Callable[..., str], path: str, words: str
) -> None:
    register(dashboard)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(error.message))
    page.goto(dashboard.url + path)
    expect(page.get_by_text(words).first).to_be_visible()
    assert errors == []
