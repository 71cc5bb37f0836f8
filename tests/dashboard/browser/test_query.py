"""The page for SQL: in a real Chromium, on a real collector."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from playwright.sync_api import Page, expect

from htga_dashboard.pages.query.page import EXAMPLES
from htga_server.http.server import Server
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]


def test_a_query_is_run_shared_and_downloaded(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    send(dashboard, register(dashboard, name="<b>first</b>"), probe_rows(range(30)))
    watched.goto(f"{dashboard.url}/query")
    watched.get_by_label("SQL").fill("SELECT run, step, alpha_hat FROM steps WHERE step < 12")
    watched.get_by_label("SQL").press("Control+Enter")
    expect(watched.locator("#query-result h2").first).to_have_text("12 rows")
    expect(watched.locator(".ag-row [col-id=c0]").first).to_have_text("<b>first</b>")
    watched.wait_for_function("() => location.search.includes('alpha_hat')")
    with watched.expect_download() as download:
        watched.get_by_role("button", name="PARQUET").click()
    taken = pyarrow.parquet.read_table(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert taken["step"].to_pylist() == list(range(12))
    watched.reload()
    expect(watched.locator("#query-result h2").first).to_have_text("12 rows")


def test_a_refused_query_is_explained(watched: Page, dashboard: Server) -> None:
    watched.goto(f"{dashboard.url}/query?sql=SELECT+nothing+FROM+steps")
    expect(watched.get_by_role("alert")).to_contain_text('Referenced column "nothing" not found')
    watched.get_by_label("SQL").fill("DROP TABLE steps")
    watched.get_by_role("button", name="Run", exact=True).click()
    expect(watched.get_by_role("alert")).to_contain_text("sql must be one SELECT statement")


def test_every_example_is_answered(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    send(dashboard, register(dashboard), probe_rows(range(30)))
    watched.goto(f"{dashboard.url}/query")
    for name, sql in EXAMPLES.items():
        watched.get_by_role("button", name=name).click()
        expect(watched.get_by_label("SQL")).to_have_value(sql)
        watched.get_by_role("button", name="Run", exact=True).click()
        watched.wait_for_function(
            "sql => new URLSearchParams(location.search).get('sql') == sql", arg=sql
        )
        expect(watched.locator("#query-result h2").first).to_contain_text("row")
