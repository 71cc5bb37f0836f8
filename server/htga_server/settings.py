"""The settings of a collector, from the environment (`HTGA_DATABASE_URL`, ...) or from code."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    """

    model_config = SettingsConfigDict(env_prefix="HTGA_", frozen=True, extra="ignore")

    database_url: str = ""
    data: Path = Path("htga-data")
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    allowed_origins: tuple[str, ...] = ()
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    require_tokens: bool = False
    webhook_hosts: tuple[str, ...] = ()
    body_limit: int = Field(default=20 * 2**20, gt=0)
    body_seconds: float = Field(default=30.0, gt=0)
    rows_per_request: int = Field(default=50_000, gt=0)
    layers_per_run: int = Field(default=20_000, gt=0)
    metrics_per_run: int = Field(default=1_000, gt=0)
    writers_per_run: int = Field(default=4_096, gt=0)
    runs_per_project: int = Field(default=10_000, gt=0)
    queued_requests: int = Field(default=256, gt=0)
    bytes_per_project: int | None = Field(default=None, gt=0)
    requests_per_second: float = Field(default=50.0, gt=0)
    request_burst: float = Field(default=100.0, ge=1)
    bytes_per_second: float = Field(default=20 * 2.0**20, gt=0)
    in_flight: int = Field(default=8, gt=0)
    undo_hours: float = Field(default=24.0, ge=0)
    keep_days: float | None = Field(default=None, ge=1)
    keep_days_of: dict[str, float] = Field(default_factory=dict)
    query_seconds: float = Field(default=30.0, gt=0)

    @property
    def url(self) -> str:
        """The database URL, with its default and with the Postgres driver."""
        if not self.database_url:
            return f"sqlite:///{(self.data / 'htga.db').absolute()}"
        scheme, _, rest = self.database_url.partition("://")
        driver = "postgresql+psycopg" if scheme in {"postgres", "postgresql"} else scheme
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
