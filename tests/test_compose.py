from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import yaml

ROOT = Path(__file__).parents[1]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_the_compose_file_fits_the_compose_specification() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [sys.executable, *command, str(ROOT / "docker-compose.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_service_waits_for_what_it_needs_and_publishes_on_loopback_only() -> None:
    services = SERVICES
    assert set(services) == {"postgres", "migrate", "server", "dashboard"}
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    after = services["server"]["depends_on"]["migrate"]["condition"]
    assert after == "service_completed_successfully"
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert name == "migrate" or "healthcheck" in service
        assert service["mem_limit"]
        assert service["logging"]["options"]["max-size"]


def test_no_secret_goes_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for secret in (".env", ".env.production", "deploy/.env", "htga-data", "htga.db", "htga.db-wal"):
        assert any(
            fnmatch(secret, rule) or fnmatch(f"/{secret}", rule.replace("**", "*"))
            for rule in ignored
        ), secret


class Services:
    """The services of the compose file as processes, each with its command and environment."""

    def __init__(self, dot_env: Mapping[str, str], postgres: str, folder: Path) -> None:
        self._dot_env = dot_env
        self._postgres = postgres
        self._folder = folder
        self.urls: dict[str, str] = {}

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service, where its hosts have other names."""
        given = {
            key: self._filled(str(value))
            for key, value in SERVICES[name].get("environment", {}).items()
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HTGA_")}
        if "HTGA_DATABASE_URL" in given:
            given |= {"HTGA_DATABASE_URL": self._postgres, "HTGA_DATA": str(self._folder)}
        return clean | given | {"HTGA_PORT": "0"}

    def _filled(self, value: str) -> str:
        return re.sub(
            r"\$\{(\w+)(?::-([^}]*))?\}", lambda m: self._dot_env.get(m[1]) or m[2] or "", value
        )

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Execute a command, by default its own, as `docker compose run` would."""
        arguments = command or tuple(SERVICES[name]["command"])
        return subprocess.run(
            [sys.executable, "-m", "htga.cli.main", *arguments[1:]],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(name),
        )

    @contextmanager
    def up(self, name: str) -> Iterator[str]:
        """Start a service; its address."""
        command = [part.replace("http://server:8642", self.urls.get("server", ""))
                   for part in SERVICES[name]["command"]]  # fmt: skip
        started = subprocess.Popen(
            [sys.executable, "-m", "htga.cli.main", *command[1:]],
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment(name),
        )
        assert started.stdout is not None
        port = re.findall(r"http://0\.0\.0\.0:(\d+)", started.stdout.readline())[-1]
        self.urls[name] = f"http://127.0.0.1:{port}"
        try:
            yield self.urls[name]
        finally:
            started.terminate()
            started.wait(30)
            started.stdout.close()

    def is_healthy(self, name: str) -> bool:
        """Whether the service's own check succeeds."""
        _, _, *command = SERVICES[name]["healthcheck"]["test"]
        port = self.urls[name].rsplit(":", 1)[1]
        code = re.sub(r"(?<=127\.0\.0\.1:)\d+", port, command[1])
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        return ended.returncode == 0


def test_the_services_work_with_tokens_and_other_names_as_the_file_says(
    postgres: str, tmp_path: Path
) -> None:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address = postgres.replace("/postgres?", f"/{name}?")
    dot_env = {"POSTGRES_PASSWORD": "secret"}
    assert Services(dot_env, address, tmp_path).run("migrate").returncode == 0
    said = (ROOT / "docker-compose.yml").read_text()
    tokens = {}
    for command in re.findall(r"# +docker compose run --rm server (htga token create .*)", said):
        made = Services(dot_env, address, tmp_path).run("server", *command.split())
        assert made.returncode == 0, made.stderr
        tokens[command.split()[3]] = made.stdout.strip()
    guarded = dot_env | {
        "HTGA_REQUIRE_TOKENS": "true",
        "HTGA_TOKEN": tokens["dashboard"],
        "HTGA_ALLOWED_HOSTS": "htga.example",
    }
    for given, refused in ((dot_env, 200), (guarded, 401)):
        services = Services(given, address, tmp_path)
        with services.up("server") as server, services.up("dashboard") as dashboard:
            assert services.is_healthy("server")
            assert services.is_healthy("dashboard")
            assert httpx2.get(f"{server}/api/v1/runs", timeout=60).status_code == refused
            assert httpx2.get(f"{dashboard}/api/v1/runs", timeout=60).status_code == 200
            elsewhere = {"host": "htga.example"}
            found = httpx2.get(f"{dashboard}/", headers=elsewhere, timeout=60).status_code
            assert (found == 200) is ("HTGA_ALLOWED_HOSTS" in given)
