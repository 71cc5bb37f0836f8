"""A person logs in, watches a run and logs out, in a real browser and through a real nginx."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.access import tokens
from htga_server.migrate import migrate
from htga_server.storage.database import Database
from tests.browser import FLAGS, chromium
from tests.support.charts import wait_for_points
from tests.support.nginx import documented_location, proxying
from tests.support.processes import collecting
from tests.support.rows import new_run, probe_rows, stream

pytestmark = pytest.mark.browser
NAME = "htga.test"
DOCUMENTED = documented_location()
WITHOUT_PORT = DOCUMENTED.replace("$http_host", "$host")


@dataclass(frozen=True)
class Way:
    """A way from the browser to the collector.

    Attributes:
        location: nginx's block; None for no proxy.
        path: The path below which the pages are.
        flags: Further arguments of `htga up`.
    """

    location: str | None = None
    tls: bool = False
    path: str = ""
    flags: tuple[str, ...] = ()


WAYS = {
    "no proxy": Way(),
    "https, and a path that the proxy removes": Way(DOCUMENTED, tls=True, path="/htga"),
    "https, and a proxy that hides the port": Way(WITHOUT_PORT, tls=True, path="/htga"),
    "http, and a path that the proxy leaves": Way(
        DOCUMENTED.replace("8642/;", "8642;").replace("X-Forwarded-Prefix", "X-Nothing"),
        path="/htga",
        flags=("--root-path", "/htga/"),
    ),
    "https alone": Way(
        DOCUMENTED.replace("location /htga/", "location /").replace("X-Forwarded-Prefix", "X-No"),
        tls=True,
    ),
}


@dataclass(frozen=True)
class Reached:
    """A collector with a run: its address in the browser, an API client, and a token."""

    url: str
    api: httpx2.Client
    run_id: str
    token: str

    def send(self, steps: range) -> None:
        """Send rows of the run."""
        rows, path = stream(probe_rows(steps)), f"/runs/{self.run_id}/rows"
        answer = self.api.post(path, content=rows, headers={"content-type": ARROW_STREAM})
        assert answer.json()["accepted"] == len(steps)


def reach(way: Way, folder: Path, stack: ExitStack) -> Reached:
    """Start the collector, tokens on, and the proxy."""
    (folder / "data").mkdir()
    database = Database(f"sqlite:///{folder / 'data/htga.db'}")
    migrate(database)
    token = database.write_now(
        lambda connection: tokens.create(connection, name="me", scopes=("read", "ingest"))
    )
    database.close()
    flags = ("--host", "127.0.0.1", *way.flags)
    port = stack.enter_context(collecting(folder / "data", *flags)).port
    if way.location is not None:
        block = way.location.replace("127.0.0.1:8642", f"127.0.0.1:{port}")
        port = stack.enter_context(proxying(folder / "nginx", block, tls=way.tls))
    scheme = "https" if way.tls else "http"
    base = f"{scheme}://127.0.0.1:{port}{way.path}{PREFIX}"
    headers = {"authorization": f"Bearer {token}"}
    api = stack.enter_context(
        httpx2.Client(base_url=base, headers=headers, verify=False, timeout=60)
    )
    run_id = api.post("/runs", json=new_run()).json()["id"]
    return Reached(f"{scheme}://{NAME}:{port}{way.path}", api, run_id, token)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that finds this machine under a name that it trusts no more than others."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
        launched = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that trusts any certificate."""
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": 1440, "height": 1000}
    )
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture(autouse=True)
def settings_of_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers to the name, and requires tokens."""
    monkeypatch.setenv("HTGA_ALLOWED_HOSTS", f"{NAME},127.0.0.1")
    monkeypatch.setenv("HTGA_REQUIRE_TOKENS", "true")


def log_in(page: Page, token: str) -> None:
    """Fill in the form."""
    page.get_by_label("A token with the scope").fill(token)
    page.get_by_role("button", name="Open", exact=True).click()


@pytest.mark.parametrize("way", WAYS)
def test_a_person_logs_in_watches_a_run_and_logs_out(way: str, page: Page, tmp_path: Path) -> None:
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    with ExitStack() as stack:
        there = reach(WAYS[way], tmp_path, stack)
        there.send(range(20))

        page.goto(f"{there.url}/run/{there.run_id}?from=chat")
        log_in(page, "htga_no_token_")
        expect(page.get_by_role("status")).to_have_text("That token is not valid.")
        trouble.clear()  # the browser itself reports the two answers of status 401
        log_in(page, there.token)
        page.wait_for_url(f"{there.url}/run/{there.run_id}?from=chat")
        wait_for_points(page, "tail", 20)
        there.send(range(20, 50))
        wait_for_points(page, "tail", 50)

        for name, path in (("Compare", "/compare"), ("Query", "/query"), ("Runs", "/")):
            page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
            page.wait_for_url(there.url + path)
        # The rows of the table come and move as it loads, so its link is read and not clicked.
        link = f"{WAYS[way].path}/run/{there.run_id}"
        expect(page.get_by_role("link", name="quiet-maple")).to_have_attribute("href", link)
        page.goto(f"{there.url}/run/{there.run_id}")
        wait_for_points(page, "tail", 50)

        (cookie,) = page.context.cookies()
        assert cookie["path"] == (WAYS[way].path or "/")
        assert (cookie["secure"], cookie["httpOnly"]) == (WAYS[way].tls, True)
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{there.url}/login")
        assert page.context.cookies() == []
        assert trouble == []
        page.goto(f"{there.url}/query")
        expect(page.get_by_role("button", name="Open", exact=True)).to_be_visible()


def test_wrong_tokens_are_answered_by_a_page_and_after_ten_a_minute_by_a_request_to_wait(
    page: Page, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        there = reach(Way(), tmp_path, stack)
        page.goto(f"{there.url}/login")
        for _ in range(10):
            log_in(page, "wrong")
            expect(page.get_by_role("status")).to_have_text("That token is not valid.")
        log_in(page, "wrong")
        expect(page.get_by_role("status")).to_contain_text("wait a minute")
        log_in(page, there.token)  # a right one works all the same
        page.wait_for_url(f"{there.url}/")


def test_a_page_whose_requests_are_refused_says_so(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGA_REQUIRE_TOKENS", "false")
    hides_the_port = Way(WITHOUT_PORT, path="/htga")  # and without https the browser tells no site
    with ExitStack() as stack:
        there = reach(hides_the_port, tmp_path, stack)
        page.goto(f"{there.url}/query")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("pass on Host with its port")


def test_a_page_whose_token_was_revoked_asks_to_log_in_again(page: Page, tmp_path: Path) -> None:
    with ExitStack() as stack:
        there = reach(Way(), tmp_path, stack)
        page.goto(f"{there.url}/login?next=/query")
        log_in(page, there.token)
        page.get_by_role("button", name="Run", exact=True).wait_for()
        database = Database(f"sqlite:///{tmp_path / 'data/htga.db'}")
        token_id = there.token.split("_")[1]
        database.write_now(lambda connection: tokens.revoke(connection, token_id))
        database.close()
        deadline = time.monotonic() + 60
        while there.api.get("/runs").status_code != 401:
            assert time.monotonic() < deadline
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("token is not valid")
        page.get_by_role("link", name="Log in").click()
        expect(page.get_by_role("button", name="Open", exact=True)).to_be_visible()
