"""What an operator can set, from the environment (`HTGA_DATABASE_URL`, ...) or by hand."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one collector.

    Attributes:
        database_url: SQLAlchemy URL; SQLite or Postgres. Empty means a SQLite file in `data`.
        data: Folder of the SQLite file and of the archive; made if missing.
        allowed_hosts: Values of the Host header that are answered, without the port. A page of
            another site that resolves its own name to this machine is turned away by it.
        allowed_origins: Origins of pages, such as "https://htga.example", that may ask besides our
            own; for a proxy that changes the name or the scheme.
        require_tokens: Answer only to those who bring a valid token.
        body_limit: Largest request body in bytes, both as sent and unpacked.
        body_seconds: How long a request body may take to arrive.
        rows_per_request: Most rows in one request.
        layers_per_run, metrics_per_run, writers_per_run: Most of each in one run.
        runs_per_project: Most runs in one project.
        bytes_per_project: Most bytes of rows, as sent and unpacked, that the database keeps of one
            project; None sets no limit.
        requests_per_second, request_burst, bytes_per_second, in_flight: What one token may ask for,
            where tokens are asked for; those beyond are put off with 429.
        queued_requests: Requests that may wait to be stored; those beyond are put off with 503.
        undo_hours: How long a run that was deleted can be restored.
        keep_days: Days after its last row for which a run's rows stay in the database; they are in
            the archive alone from then on. None keeps them.
        keep_days_of: The same by project, which wins; 0 keeps them.
        query_seconds: How long one SQL query of a user may run.
    """

    model_config = SettingsConfigDict(env_prefix="HTGA_", frozen=True, extra="ignore")

    database_url: str = ""
    data: Path = Path("htga-data")
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    allowed_origins: tuple[str, ...] = ()
    require_tokens: bool = False
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
        """The database URL with its default filled in and the Postgres driver named."""
        if not self.database_url:
            return f"sqlite:///{(self.data / 'htga.db').absolute()}"
        scheme, _, rest = self.database_url.partition("://")
        driver = "postgresql+psycopg" if scheme in {"postgres", "postgresql"} else scheme
        return f"{driver}://{rest}"

    def days_of(self, project: str) -> float | None:
        """For how many days rows of a project stay in the database; None for ever."""
        return self.keep_days_of.get(project, self.keep_days or 0) or None

    @property
    def disk(self) -> Path:
        """The data folder, or the one above it that exists: on Postgres there may be none yet."""
        path = self.data.absolute()
        return next(folder for folder in (path, *path.parents) if folder.exists())

    @property
    def archive(self) -> Path:
        """The folder that holds one folder per archived run."""
        return self.data / "archive"
