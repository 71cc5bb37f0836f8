"""Names are never taken for paths, and nothing outside the data folder is opened for anyone."""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.routing import APIRoute

from htga_client.wire import PREFIX
from htga_server.app import create_app
from htga_server.settings import Settings
from tests.support.hostile import paths
from tests.support.load import running
from tests.support.routes import routes
from tests.support.rows import new_run
from tests.support.seeded_random import LONG

SECRET = "nobody may read this"  # noqa: S105  (a file's text)
ORDINARY = "quiet-maple"
CALLS = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'htga.db'}"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the data folder."""
    path = tmp_path / "outside" / "secret.txt"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


class Asking:
    """A client that sends addresses as they are, without tidying them up first."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.said: Counter[int] = Counter()
        self.close = self._connection.close

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Ask; the answer must be no error of ours, and must not hold the secret."""
        text = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"} if body is not None else {}
        self._connection.request(method, PREFIX + path, text, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self.said[answer.status] += 1
        assert answer.status < 500, (method, path, content)
        assert SECRET.encode() not in content
        return json.loads(content or b"null") if answer.status < 300 else None


def named_in_paths(folder: Path) -> list[tuple[str, str]]:
    """Method and path of every route that has a name in it."""
    settings = Settings(data=folder / "other")
    found = [
        (method, route.path)
        for route in routes(create_app(settings))
        if isinstance(route, APIRoute) and "{" in route.path and not route.path.startswith("/api")
        for method in route.methods or ()
    ]
    assert len(found) > 15
    return found


def put_everywhere(
    ask: Asking, name: str, where: Sequence[tuple[str, str]], *, queried: bool = True
) -> None:
    """Use a name for everything that has one, as a part of addresses, and as a file to query."""
    run = new_run(name=name, project=name, group=name, tags=[name], notes=name, config={name: name})
    if ask("POST", "/runs", run) is None:  # as it holds a NUL, or is too long
        run = new_run()
        ask("POST", "/runs", run)
    row = {"step": 1, "layer": name, "alpha_hat": 1.5, "metrics": {name: 2.0}}
    ask("POST", f"/runs/{run['id']}/rows", {"rows": [row]})
    asked = urlencode({"keys": f"alpha_hat,{quote(name, safe='')}", "layer": name, "project": name})
    for rest in ("/series", "/histograms", "/tail", "/layers", "/events"):
        ask("GET", f"/runs/{run['id']}{rest}?{asked}")
    ask("GET", f"/runs?{urlencode({'q': name, 'group': name, 'tag': name})}")
    ask("GET", f"/live/none?{asked}")
    if queried:
        text = name.replace("'", "''")
        ask("POST", "/query", {"sql": f"SELECT * FROM read_text('{text}')"})  # noqa: S608
    ask("POST", f"/runs/{run['id']}/finish", {})
    ask("POST", f"/runs/{run['id']}/archive")
    verbatim = quote(name, safe="%/\\;:.*[]{}~$|`()")
    for method, path in where:
        for form in (verbatim, quote(name, safe="")):
            begin, _, rest = path.partition("{")
            ask(method, begin + form + rest.partition("}")[2], {} if method != "GET" else None)
    ask("DELETE", f"/runs/{run['id']}")


Opened = Callable[[], list[str]]


def by_audit(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], Opened]:
    """Python's own hook: what its code opens."""
    log = folder / "opened"
    return ("watched",), (), lambda: log.read_text().splitlines()


def by_strace(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], Opened]:
    """The kernel's: what any code opens."""
    log = folder / "traced"
    before = ("strace", "-f", "-qq", "--seccomp-bpf", "-s", "5000", "-o", str(log), "-e", CALLS)

    def opened() -> list[str]:
        lines = log.read_text(errors="replace").splitlines()
        return [path for line in lines for path in quoted(line)]

    return (), before, opened


def quoted(line: str) -> Iterator[str]:
    """The paths of a system call as strace writes it; of one that succeeded."""
    if line.rstrip().split(" = ")[-1].startswith("-1"):
        return
    for part in line.split('"')[1::2]:
        yield part.encode("latin-1", "replace").decode("unicode_escape")


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
OBSERVERS = [
    pytest.param(by_audit, id="by Python's audit hook"),
    pytest.param(by_strace, id="by strace", marks=needs_strace),
]
Observer = Callable[[Path], tuple[tuple[str, ...], tuple[str, ...], Opened]]


def opened_elsewhere(
    folder: Path, names: Sequence[str], observe: Observer, *sabotage: str
) -> set[str]:
    """What was opened outside the data folder for names, and not for an ordinary name, too.

    Each name goes to an eighth of the addresses that hold one, the next name to the next. The
    database for queries is opened for each and may read no file; outside the long tier every
    seventh name is enough, which meets all parts that names are made of.
    """
    flags, before, opened = observe(folder)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    where = named_in_paths(folder)
    with (
        running(data, *flags, *sabotage, before=before) as collector,
        closing(Asking(collector.port)) as ask,
    ):
        for _ in range(3):
            put_everywhere(ask, ORDINARY, where)
        usual = set(opened())
        assert any(str(data) in path for path in usual), "nothing was seen at all"
        for number, name in enumerate(names):
            queried = LONG or number % 7 == 0
            put_everywhere(ask, name, where[number % 8 :: 8], queried=queried)
        assert collector.process is not None
        for traced in psutil.Process(collector.process.pid).children():
            traced.kill()  # strace lets go of it when it is killed itself
        seen = set(opened()) - usual
    print(f"{len(names)} names, {sum(ask.said.values()):,} requests: {dict(ask.said)}")
    own = (str(data), shlex.quote(str(data)))
    return {path for path in seen if not path.startswith(own) or ".." in Path(path).parts}


@pytest.mark.slow
@pytest.mark.parametrize("observe", OBSERVERS)
def test_no_name_opens_anything_outside_the_data_folder(
    tmp_path: Path, secret: Path, observe: Observer
) -> None:
    names = paths(str(secret))
    assert len(names) > 500
    if observe is by_strace:
        names = names[
            :: 5 if LONG else 25
        ]  # Python's code sees all of them, and the rest does what it is told
    assert opened_elsewhere(tmp_path, names, observe) == set()


@pytest.mark.parametrize("observe", OBSERVERS)
def test_control_a_collector_that_opens_what_is_named_is_caught(
    tmp_path: Path, secret: Path, observe: Observer
) -> None:
    names = ["../outside/secret.txt", str(secret)]
    found = opened_elsewhere(tmp_path, names, observe, "opening")
    assert any("secret" in path for path in found)


def test_a_link_in_the_archive_is_not_followed(
    api: httpx2.Client, settings: Settings, secret: Path
) -> None:
    def archived() -> str:
        run = new_run()
        api.post("/runs", json=run)
        rows = {"rows": [{"step": 1, "alpha_hat": 1.5, "metrics": {"loss": 1.0}}]}
        api.post(f"/runs/{run['id']}/rows", json=rows)
        api.post(f"/runs/{run['id']}/finish", json={})
        assert api.post(f"/runs/{run['id']}/archive").is_success
        return str(run["id"])

    def steps() -> list[list[int]]:
        sql = {"sql": "SELECT count(*) FROM steps"}
        return list(api.post("/query", json=sql).json()["rows"])

    whole, part = archived(), archived()
    assert steps() == [[2]]
    elsewhere = secret.parent / "moved"
    (settings.archive / whole).rename(elsewhere)
    (settings.archive / whole).symlink_to(elsewhere)
    (own,) = (settings.archive / part).glob("steps-*.parquet")
    own.rename(secret.parent / "steps.parquet")
    own.symlink_to(secret.parent / "steps.parquet")
    assert pq.read_table(secret.parent / "steps.parquet").num_rows == 1
    sql = {"sql": "SELECT count(*) FROM steps"}
    refused = api.post("/query", json=sql)
    assert (refused.status_code, "symbolic link" in refused.text) == (503, True)
    assert api.post("/query?skip_damaged=1", json=sql).json()["rows"] == [[0]]
    names = sorted(path.name for path in elsewhere.iterdir())
    for run_id in (whole, part):
        assert api.post(f"/runs/{run_id}/archive").is_success
        assert not (settings.archive / run_id).is_symlink()
    assert steps() == [[2]]
    assert sorted(path.name for path in elsewhere.iterdir()) == names
    assert isinstance(pq.read_table(elsewhere / names[-1]), pa.Table)
