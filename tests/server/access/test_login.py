"""What a browser gets before it has a token, and where it goes with one."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from htga_server.access import tokens
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.conftest import in_process_client

PAGE = {"accept": "text/html,*/*"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A database with the schema, and one token of the text that the fixture `token` has."""
    file = tmp_path / "htga.db"
    file.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
def token(database_url: str) -> str:
    """A token that may read."""
    database = Database(database_url)
    made = database.write_now(lambda c: tokens.create(c, name="me", scopes=("read",)))
    database.close()
    return made


def log_in(browser: httpx2.Client, token: str, next_path: str) -> httpx2.Response:
    """Send the form."""
    form = str(httpx2.QueryParams({"token": token, "next": next_path}))
    return browser.post("/login", content=form.encode(), headers=PAGE | FORM)


@pytest.mark.parametrize(
    ("next_path", "location"),
    [
        ("/run/x?steps=1-2&a=%20b", "/run/x?steps=1-2&a=%20b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("/\ud7ff", "/"),
    ],
)
def test_after_the_login_the_browser_opens_the_page_that_it_wanted_and_no_other_site(
    settings: Settings, token: str, next_path: str, location: str
) -> None:
    with in_process_client(settings.model_copy(update={"require_tokens": True})) as browser:
        browser.base_url = httpx2.URL("http://127.0.0.1")
        said = log_in(browser, token, next_path)
        assert (said.status_code, said.headers["location"]) == (303, location)
        cookie = said.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "path=/" in cookie


@pytest.mark.usefixtures("token")
def test_what_a_browser_is_refused_is_a_page_and_a_program_gets_a_problem(
    settings: Settings,
) -> None:
    with in_process_client(settings.model_copy(update={"require_tokens": True})) as browser:
        browser.base_url = httpx2.URL("http://127.0.0.1")
        foreign = {"origin": "https://evil.example"}
        for headers, status in (({"host": "evil"}, 400), (foreign, 403), ({}, 401)):
            page = browser.get('/run/"><b>', headers=PAGE | headers)
            assert (page.status_code, page.headers["content-type"]) == (
                status,
                "text/html; charset=utf-8",
            )
            assert "<b>" not in page.text
            problem = browser.get("/run/x", headers=headers)
            assert problem.json()["status"] == status
        for _ in range(10):
            browser.get("/", headers=PAGE | {"cookie": "htga_token=wrong"})
        late = browser.get("/", headers=PAGE | {"cookie": "htga_token=wrong"})
        assert (late.status_code, late.headers["retry-after"]) == (429, "60")
        for origin in ("null", "https://evil.example", "http://127.0.0.1:81"):
            said = browser.post(
                "/login", content=b"token=x", headers=PAGE | FORM | {"origin": origin}
            )
            assert said.status_code == 403
            assert "HTGA_ALLOWED_ORIGINS" in said.text


def test_a_cookie_that_is_no_token_any_more_is_taken_away_and_a_logout_takes_it_too(
    settings: Settings, token: str
) -> None:
    with in_process_client(settings.model_copy(update={"require_tokens": True})) as browser:
        browser.base_url = httpx2.URL("http://127.0.0.1")
        old = browser.get("/", headers=PAGE | {"cookie": "htga_token=htga_a_b_c"})
        assert old.status_code == 401
        assert 'htga_token=""; ' in old.headers["set-cookie"]
        log_in(browser, token, "/")
        assert "htga_token" in browser.cookies
        assert browser.post("/logout").headers["location"] == "/login"
        assert "htga_token" not in browser.cookies
