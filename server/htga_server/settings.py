"""The settings of a collector, from the environment (`HTGA_DATABASE_URL`, ...) or from code."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from htga_client.url import clean_root_path

_BYTES: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)


def _split(value: Any) -> Any:
    """Words from JSON, or separated by commas or blanks."""
    if not isinstance(value, str):
        return value
    if re.match(r"\s*\[\s*[\"\]]", value):  # [::1] is an address
        return _from_json(value)
    return tuple(value.replace(",", " ").split())


def _split_pairs(value: Any) -> Any:
    """Numbers by name from JSON, or as "digits=30, cifar10=7"."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return _from_json(value)
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    return {name.strip(): number.strip() for name, _, number in pairs}


def _from_json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"must be JSON or words separated by commas ({error})") from error


def _none(value: Any) -> Any:
    """None for a word that says so."""
    words = {"none", "never", "forever", "unlimited"}
    return None if isinstance(value, str) and value.strip().lower() in words else value


def _bytes(value: Any) -> Any:
    """A number of bytes from text such as "20 MiB"; plain numbers are left to their own type."""
    if not isinstance(value, str) or not re.search(r"[a-zA-Z]", value):
        return value
    try:
        return int(_BYTES.validate_python(value))
    except ValidationError:
        raise ValueError("must be a number of bytes, such as 20971520 or 20 MiB") from None


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if "/" in name or re.search(r"^[^:]*:\d*$", name):
            raise ValueError("must be names without scheme and port, such as htga.example")
    return names


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not re.fullmatch(r"https?://[^/]+", origin):
            raise ValueError("must be origins such as https://htga.example")
    return origins


def _proxies(addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        try:
            ipaddress.ip_network(address if address != "*" else "::/0", strict=False)
        except ValueError:
            raise ValueError("must be addresses or networks, such as 10.0.0.0/8") from None
    return addresses


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Hosts = Annotated[Words, AfterValidator(_hosts)]
Proxies = Annotated[Words, AfterValidator(_proxies)]
Origins = Annotated[Words, AfterValidator(_origins)]
DaysByName = Annotated[dict[str, float], NoDecode, BeforeValidator(_split_pairs)]
Unlimited = BeforeValidator(_none)
Bytes = BeforeValidator(_bytes)


class Settings(BaseSettings):
    """Settings of one collector.

    Attributes:
        database_url: SQLAlchemy URL; SQLite or Postgres. Empty means a SQLite file in `data`.
        data: Folder of the SQLite file and of the archive; created if missing.
        allowed_hosts: Host headers to accept, without the port. This stops a page of another site
            that resolves its own name to this machine (DNS rebinding).
        allowed_origins: Further origins of pages, such as "https://htga.example", whose requests
            are accepted; for a proxy that changes the name or the scheme.
        root_path: Path below which a proxy serves the app, such as "/htga", unless the proxy says
            so itself in X-Forwarded-Prefix.
        trusted_proxies: Addresses or networks of proxies whose X-Forwarded-For, X-Forwarded-Proto
            and X-Forwarded-Prefix are believed.
        require_tokens: Refuse requests without a valid token.
        webhook_hosts: Hosts that webhooks may call although their addresses are not public.
        body_limit: Maximum size of a request body in bytes, both as sent and decompressed.
        body_seconds: Maximum time for a request body to arrive.
        rows_per_request: Maximum rows in one request.
        layers_per_run, metrics_per_run, writers_per_run: Maximum of each in one run.
        runs_per_project: Maximum runs in one project.
        bytes_per_project: Maximum bytes of rows, as sent and decompressed, that the database keeps
            of one project; None sets no limit.
        requests_per_second, request_burst, bytes_per_second, in_flight: Limits for one token, if
            tokens are required; beyond them a request gets 429.
        queued_requests: Maximum requests that wait to be stored; further ones get 503.
        undo_hours: How long a deleted run can be restored.
        keep_days: Days after its last row for which a run's rows stay in the database; later they
            are in the archive alone. None keeps them for ever.
        keep_days_of: The same by project, which takes precedence; 0 keeps them for ever.
        query_seconds: Maximum time of one SQL query.
        query_memory: Bytes that one query may use, besides the live rows that it reads.
        query_answer: Maximum size of the answer to one query in bytes.
        queries_at_once: Queries that run at the same time; further ones wait for their time.

    From the environment, lists are words separated by commas, or JSON; empty text sets nothing;
    sizes may have a unit, such as "20 MiB"; and where None is allowed, so are "none" and "forever".
    """

    model_config = SettingsConfigDict(
        env_prefix="HTGA_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    database_url: str = ""
    data: Path = Path("htga-data")
    allowed_hosts: Hosts = ("127.0.0.1", "localhost")
    allowed_origins: Origins = ()
    root_path: Annotated[str, AfterValidator(clean_root_path)] = ""
    trusted_proxies: Proxies = ("127.0.0.1", "::1")
    require_tokens: bool = False
    webhook_hosts: Hosts = ()
    body_limit: Annotated[int, Bytes] = Field(default=20 * 2**20, gt=0)
    body_seconds: float = Field(default=30.0, gt=0)
    rows_per_request: int = Field(default=50_000, gt=0)
    layers_per_run: int = Field(default=20_000, gt=0)
    metrics_per_run: int = Field(default=1_000, gt=0)
    writers_per_run: int = Field(default=4_096, gt=0)
    runs_per_project: int = Field(default=10_000, gt=0)
    queued_requests: int = Field(default=256, gt=0)
    bytes_per_project: Annotated[int | None, Bytes, Unlimited] = Field(default=None, gt=0)
    requests_per_second: float = Field(default=50.0, gt=0)
    request_burst: float = Field(default=100.0, ge=1)
    bytes_per_second: Annotated[float, Bytes] = Field(default=20 * 2.0**20, gt=0)
    in_flight: int = Field(default=8, gt=0)
    undo_hours: float = Field(default=24.0, ge=0)
    keep_days: Annotated[float | None, Unlimited] = Field(default=None, ge=1)
    keep_days_of: DaysByName = Field(default_factory=dict)
    query_seconds: float = Field(default=30.0, gt=0)
    query_memory: Annotated[int, Bytes] = Field(default=2**30, ge=2**25)
    query_answer: Annotated[int, Bytes] = Field(default=2**28, gt=0)
    queries_at_once: int = Field(default=4, gt=0)

    @property
    def url(self) -> str:
        """The database URL, with its default and with the Postgres driver."""
        if not self.database_url:
            return f"sqlite:///{(self.data / 'htga.db').absolute()}"
        scheme, _, rest = self.database_url.partition("://")
        kind = scheme.partition("+")[0]  # whichever driver is named, ours is installed
        driver = "postgresql+psycopg" if kind in {"postgres", "postgresql"} else kind
        return f"{driver}://{rest}"

    def days_of(self, project: str) -> float | None:
        """Return for how many days rows of a project stay in the database; None for ever."""
        return self.keep_days_of.get(project, self.keep_days or 0) or None

    @property
    def disk(self) -> Path:
        """The data folder, or its nearest parent that exists; on Postgres there may be none yet."""
        path = self.data.absolute()
        return next(folder for folder in (path, *path.parents) if folder.exists())

    @property
    def archive(self) -> Path:
        """The folder with a folder for each archived run."""
        return self.data / "archive"


def read_settings(**given: object) -> Settings:
    """Settings from the environment, overridden by what is given.

    Raises:
        ValueError: A value is wrong; the message names the variable, the value and what it must be.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked there
    except ValidationError as error:
        raise ValueError("; ".join(map(_sentence, error.errors()))) from error


def _sentence(error: Any) -> str:
    name, *within = map(str, error["loc"])
    place = f" for {', '.join(within)}" if within else ""
    # "Input should be greater than 0", "Value error, must be ..."
    demand = re.sub(r"^Input should |^Value error, ", "", error["msg"])
    demand = re.sub(r"^(?=be |have )", "must ", demand)
    return f"HTGA_{name.upper()}{place} {demand}, got {error['input']!r}"
