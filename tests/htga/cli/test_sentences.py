"""Whatever a user can cause ends in one sentence that names the value, never in a traceback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from htga.cli import variables
from htga.cli.main import app, main
from htga_server.settings import Settings, read_settings
from tests.support.processes import ROOT

COMMANDS: dict[str, list[str]] = {
    "up": ["up", "--port", "0"],
    "demo": ["demo", "--port", "0", "--exit", "--steps", "1"],
    "dashboard": ["dashboard", "--url", "http://127.0.0.1:9", "--port", "0"],
    "query": ["query", "SELECT 1"],
    "status": ["status"],
    "sync": ["sync"],
    "version": ["version"],
    "runs ls": ["runs", "ls"],
    "runs show": ["runs", "show", "one"],
    "runs rm": ["runs", "rm", "one", "--yes"],
    "runs restore": ["runs", "restore", "0" * 8 + "-0000" * 3 + "-" + "0" * 12],
    "archive create": ["archive", "create", "--all"],
    "archive ls": ["archive", "ls"],
    "archive verify": ["archive", "verify", "--all"],
    "archive restore": ["archive", "restore", "maple"],
    "token create": ["token", "create", "one"],
    "token ls": ["token", "ls"],
    "token revoke": ["token", "revoke", "one"],
    "db upgrade": ["db", "upgrade"],
    "db prune": ["db", "prune"],
    "db backup": ["db", "backup", "copy.db"],
    "levy exit-time": ["levy", "exit-time", "--only", "E6"],
    "levy escape": ["levy", "escape"],
}
"""Each command with what it needs at least."""
NO_SETTINGS = {"sync", "version", "levy exit-time", "levy escape"}
OF_SETTINGS = sorted(COMMANDS.keys() - NO_SETTINGS)
SERVER = ["sqlalchemy", "alembic", "duckdb", "fastapi", "starlette", "uvicorn", "pydantic_settings"]
EXTRAS = {
    "torch": (["torch"], {"demo", "levy exit-time", "levy escape"}),
    "server": (SERVER, set(OF_SETTINGS)),
    "dashboard": (["dash", "orjson", "websockets"], {"up", "demo", "dashboard"}),
    "experiments": (["scipy", "matplotlib", "plotly"], {"levy exit-time", "levy escape"}),
}
"""Packages of an extra, and the commands that cannot do without them."""


def walk(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The path of each command."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, *path, name)
    if not hasattr(command, "commands"):
        yield path


def test_the_table_has_every_command() -> None:
    assert {" ".join(path) for path in walk(get_command(app))} == COMMANDS.keys()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without anything, and no collector on the default port."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("htga.cli.connect.DEFAULT_URL", "http://127.0.0.1:9")


def check(status: int, stderr: str, *words: str) -> None:
    """One sentence that has these words."""
    assert status in {1, 2}, stderr
    assert "Traceback" not in stderr
    assert stderr.startswith("htga: ")
    assert len(stderr.splitlines()) == 1, stderr
    assert stderr.isascii()
    assert len(stderr) < 420, stderr
    for word in words:
        assert word in stderr, stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_extra_is_named_with_what_to_install(extra: str, tmp_path: Path) -> None:
    packages, needed_by = EXTRAS[extra]
    commands = [COMMANDS[name] for name in sorted(needed_by)]
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.without",
            json.dumps(packages),
            json.dumps(commands),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    for name, (status, stderr) in zip(sorted(needed_by), json.loads(ended.stdout), strict=True):
        check(status, stderr, " needs ", "in a clone of HTGA, pip install '.[")
        named = set(re.findall(r"\w+", stderr))
        assert {extra, "all"} & named or name == "dashboard", stderr
        # A command for the study needs two extras, and says so the first time.
        assert not name.startswith("levy") or {"torch", "experiments"} <= named, stderr
        assert any(package in stderr for package in packages), (name, stderr)


WRONG = [
    ("HTGA_KEEP_DAYS", "0.5", "1"),
    ("HTGA_KEEP_DAYS", "soon", "number"),
    ("HTGA_KEEP_DAYS_OF", "digits", "digits"),
    ("HTGA_KEEP_DAYS_OF", '{"digits": "x"}', "digits"),
    ("HTGA_KEEP_DAYS_OF", "{", "JSON"),
    ("HTGA_ALLOWED_HOSTS", "https://htga.example", "without scheme"),
    ("HTGA_ALLOWED_HOSTS", "htga.example:443", "without scheme and port"),
    ("HTGA_ALLOWED_HOSTS", '["htga.example"', "JSON"),
    ("HTGA_ALLOWED_ORIGINS", "htga.example", "https://htga.example"),
    ("HTGA_ROOT_PATH", "/a b", "must look like '/htga'"),
    ("HTGA_TRUSTED_PROXIES", "proxy.example", "10.0.0.0/8"),
    ("HTGA_WEBHOOK_HOSTS", "https://hooks.example", "without scheme"),
    ("HTGA_BODY_LIMIT", "much", "20 MiB"),
    ("HTGA_BODY_LIMIT", "0", "greater than 0"),
    ("HTGA_BYTES_PER_PROJECT", "12 parsecs", "20 MiB"),
    ("HTGA_REQUIRE_TOKENS", "perhaps", "boolean"),
    ("HTGA_QUERY_SECONDS", "-1", "greater than 0"),
    ("HTGA_IN_FLIGHT", "1.5", "integer"),
    ("HTGA_DATABASE_URL", "mysql://u:secret@host/x", "postgresql://"),
    ("HTGA_DATABASE_URL", "postgresql://u:secret@host:port/x", "postgresql://"),
    ("HTGA_DATABASE_URL", "sqlite://", "sqlite:///"),
    ("HTGA_DATABASE_URL", "nonsense", "sqlite://"),
    ("HTGA_DATABASE_URL", "postgresql://u:secret@127.0.0.1:9/x", "HTGA_DATABASE_URL"),
    ("HTGA_DATABASE_URL", "postgresql://no.such.host.example/x", "HTGA_DATABASE_URL"),
]


@pytest.mark.parametrize(("name", "value", "word"), WRONG)
def test_a_wrong_setting_is_named_with_its_value_by_every_command_that_reads_it(
    name: str,
    value: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    for command in OF_SETTINGS:
        if command == "dashboard" and name == "HTGA_DATABASE_URL":
            continue  # it has none
        if command == "db prune" and name == "HTGA_DATABASE_URL":
            monkeypatch.setenv("HTGA_KEEP_DAYS", "1")
        status = main(COMMANDS[command])
        stderr = capsys.readouterr().err
        check(status, stderr, name, "" if command == "db backup" and "://" in value else word)
        assert "secret" not in stderr
        if name not in {"HTGA_DATABASE_URL", "HTGA_KEEP_DAYS_OF"}:
            assert f"got {value!r}" in stderr


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null", "/dev/null/below"])
@pytest.mark.parametrize("command", ["up", "demo", "token create", "token ls", "db upgrade"])
def test_a_folder_that_cannot_be_used_is_named(
    place: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTGA_DATA", place)
    check(main(COMMANDS[command]), capsys.readouterr().err, place)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTGA_PORT", "abc"),
        ("HTGA_PORT", "70000"),
        ("HTGA_HOST", "no.such.host.example"),
        ("HTGA_LOG_LEVEL", "loud"),
        ("HTGA_LOG_FORMAT", "xml"),
    ],
)
@pytest.mark.parametrize("command", ["up", "demo", "dashboard"])
def test_a_wrong_option_is_named_with_its_value(
    command: str,
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTGA_URL", "http://127.0.0.1:9")
    insecure = ["--insecure"] if name == "HTGA_HOST" and command != "demo" else []
    status = main([command, *insecure])
    stderr = capsys.readouterr().err
    if command == "demo" and name == "HTGA_HOST":
        check(status, stderr, "token")
    else:
        check(status, stderr, value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://no.such.host.example", "ftp://x", "x", "http://x:y"]
)
def test_a_collector_that_cannot_be_reached_is_named(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, spool: Path
) -> None:
    spool.mkdir()
    monkeypatch.setenv("HTGA_URL", url)
    for name in ("query", "status", "runs ls", "runs show", "runs rm", "archive create"):
        check(main(COMMANDS[name]), capsys.readouterr().err, url)
    if "." not in url:
        check(main(COMMANDS["dashboard"][:1]), capsys.readouterr().err, url)
        check(main(COMMANDS["sync"]), capsys.readouterr().err, url)


def test_what_answers_but_is_no_collector_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>A page</html>"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answering = subprocess.Popen(
            [sys.executable, "-c", SERVE, page.decode()],
            stdin=listener.fileno(),
            stderr=subprocess.DEVNULL,
        )
        for name in ("query", "status", "runs ls", "runs show", "archive ls"):
            check(main([*COMMANDS[name], "--url", url]), capsys.readouterr().err)
        answering.kill()
        answering.wait()


SERVE = """
import socket, sys
listener = socket.socket(fileno=0)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("htga.example", ("htga.example",)),
        ("a.example,b.example", ("a.example", "b.example")),
        (" a.example , b.example ", ("a.example", "b.example")),
        ("a.example b.example", ("a.example", "b.example")),
        ('["a.example", "b.example"]', ("a.example", "b.example")),
        ("[::1]", ("[::1]",)),
        ("", ("127.0.0.1", "localhost")),
    ],
)
def test_lists_are_words_or_json(
    given: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGA_ALLOWED_HOSTS", given)
    assert read_settings().allowed_hosts == hosts


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("body_limit", "20 MiB", 20 * 2**20),
        ("body_limit", "1_000", 1000),
        ("bytes_per_project", "10GB", 10**10),
        ("bytes_per_project", "unlimited", None),
        ("bytes_per_second", "1.5 MiB", 1.5 * 2**20),
        ("keep_days", "forever", None),
        ("keep_days", "", None),
        ("keep_days", "30", 30.0),
        ("keep_days_of", "digits=30, cifar10 = 0", {"digits": 30.0, "cifar10": 0.0}),
        ("keep_days_of", '{"digits": 30}', {"digits": 30.0}),
        ("require_tokens", "yes", True),
    ],
)
def test_a_setting_takes_the_words_that_people_use(
    name: str, given: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HTGA_{name.upper()}", given)
    assert getattr(read_settings(), name) == value


def test_every_variable_that_is_named_anywhere_is_known() -> None:
    known = variables.OF_CLIENTS | variables.OF_COMMANDS | variables.OF_TESTS
    known |= variables.of_collectors()
    places = ["README.md", "docs", "htga/telemetry", "client", "tests/support", "Makefile"]
    files = [
        file
        for place in places
        for file in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*.*"))
        if file.suffix in {".md", ".py", ""}
    ]
    named = {name for file in files for name in re.findall(r"HTGA_[A-Z_]*[A-Z]", file.read_text())}
    assert named <= known, named - known
    assert {f"HTGA_{field.upper()}" for field in Settings.model_fields} <= known


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HTGA_ULR", "HTGA_URL"),
        ("HTGA_ALLOWED_HOST", "HTGA_ALLOWED_HOSTS"),
        ("HTGA_KEEPDAYS", "HTGA_KEEP_DAYS"),
        ("HTGA_SOMETHING_ELSE_ENTIRELY", None),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_one(
    name: str, near: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    assert main(["version"]) == 0
    said = capsys.readouterr()
    assert said.out.strip()
    assert f"warning: {name} is no setting of HTGA" in said.err
    assert (f"do you mean {near}?" in said.err) is (near is not None)
