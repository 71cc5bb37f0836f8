"""Rows that the collector refuses, kept for a person to inspect."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from htga_client import wire
from htga_client.wire.json_codec import dumps

MAX_BYTES = 64 << 20
REASON = b"htga.reason"
RUN = b"htga.run"
"""JSON of the run's registration, for a collector that does not know the run."""


@dataclass(frozen=True, slots=True)
class DeadBatch:
    """Rows that will not be delivered.

    Attributes:
        table: The rows.
        reason: Why, in the collector's words.
    """

    table: pa.Table
    reason: str


class DeadLetters:
    """Keeps the latest refused batches in memory, and each in an Arrow file while there is room.

    Args:
        keep: How many batches to keep in memory.
    """

    def __init__(self, keep: int = 16) -> None:
        self.latest: deque[DeadBatch] = deque(maxlen=keep)

    def add(
        self, table: pa.Table, reason: str, folder: Path | None, name: str, run: wire.NewRun
    ) -> Path | None:
        """Keep rows; returns the file, whose schema metadata holds the reason, if one was written.

        Args:
            table: The rows.
            reason: Why the collector refuses them.
            folder: Folder of the file; None for no file.
            name: Name of the file, without its suffix.
            run: The run, as it was registered.
        """
        self.latest.append(DeadBatch(table, reason))
        if folder is None:
            return None
        with contextlib.suppress(OSError):
            folder.mkdir(0o700, parents=True, exist_ok=True)
            used = sum(path.stat().st_size for path in folder.parent.glob("*/*.arrow"))
            if used + table.nbytes <= MAX_BYTES:
                path = _free(folder, name)
                write_letter(path, table.replace_schema_metadata({RUN: dumps(run)}), reason)
                return path
        return None


def write_letter(path: Path, table: pa.Table, reason: str) -> None:
    """Write rows and why they were refused to a file, in one move.

    Raises:
        OSError: The disk takes no writes.
    """
    temporary = path.with_suffix(".tmp")
    metadata = {**(table.schema.metadata or {}), REASON: reason.encode(errors="replace")}
    table = table.replace_schema_metadata(metadata)
    try:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
            out.write_table(table)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _free(folder: Path, name: str) -> Path:
    names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    return next(path for path in (folder / f"{n}.arrow" for n in names) if not path.exists())
