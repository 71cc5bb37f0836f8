"""A writer's directory in a spool, owned by one process at a time.

A spool is a folder per run, in it a folder per writer, and in that: `run.json`, the run as it was
registered and where its rows go; `finish.json`, once the run has ended; `lock`; and the segments.
The process that holds the lock owns the directory. The operating system releases the lock when a
process dies, however it dies, so a directory that can be locked has lost its owner.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htga_client import wire
from htga_client.spool.segment_file import sync_folder
from htga_client.url import without_password
from htga_client.wire.clean_run import clean_run
from htga_client.wire.json_codec import dumps, loads

try:
    import fcntl
except ModuleNotFoundError:  # Windows: nothing is spooled there
    fcntl = None  # type: ignore[assignment]

DEAD_LETTERS = "dead"
"""Name of the folder beside those of the runs, for rows that the collector refuses."""

_SUFFIX = ".seg"


class SpoolDirectory:
    """A writer's directory that this process owns. Made by `create` and `take_over`.

    Attributes:
        root: Folder of the whole spool.
        folder: Folder of this writer.
        run: The run; its `writer` wrote the rows.
        url: The collector that the rows were meant for; empty if there was none.
    """

    def __init__(self, folder: Path, lock: int, run: wire.NewRun, url: str) -> None:
        self.root = folder.parent.parent
        self.folder = folder
        self.run = run
        self.url = url
        self._lock = lock

    @classmethod
    def create(cls, root: Path, run: wire.NewRun, url: str) -> SpoolDirectory:
        """Make a writer's directory.

        Args:
            root: Folder of the whole spool; made if need be.
            run: The run, with its writer.
            url: The collector that the rows are meant for; empty if there is none.

        Raises:
            OSError: The directory cannot be made, or this platform cannot lock a file.
        """
        if run.writer is None:
            raise ValueError("a spool is a writer's: run.writer must be given")
        _make_root(root)
        folder = root / run.id / run.writer
        folder.parent.mkdir(0o700, exist_ok=True)
        folder.mkdir(0o700, exist_ok=True)  # an earlier try may have found the disk full
        lock = _lock(folder)
        if lock is None:
            raise BlockingIOError(f"{folder} belongs to another process")
        directory = cls(folder, lock, run, url)
        # Last and in one move: a directory with run.json and without a lock is an orphan.
        try:
            directory._write("run.json", {"url": url, "run": run})
        except OSError:
            directory.release()
            raise
        return directory

    @classmethod
    def take_over(cls, folder: Path) -> SpoolDirectory | None:
        """Own the directory of a dead process; None if the process lives or has left nothing."""
        with contextlib.suppress(OSError, ValueError):
            if not (folder / "run.json").exists():
                return None
            lock = _lock(folder)
            if lock is None:
                return None
            try:
                # Read under the lock: another process may have delivered and removed it meanwhile.
                saved = json.loads((folder / "run.json").read_bytes())
                # A client of another version may have written what no collector takes.
                own = {"id": folder.parent.name, "writer": folder.name}
                run, _ = clean_run({**saved["run"], **own})
                return cls(folder, lock, run, without_password(str(saved["url"])))
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                os.close(lock)
        return None

    @property
    def finish(self) -> wire.Finish | None:
        """How the run ended; None if it has not, or was killed."""
        with contextlib.suppress(OSError, ValueError):
            return loads(wire.Finish, (self.folder / "finish.json").read_bytes())
        return None

    def save_finish(self, finish: wire.Finish) -> None:
        """Keep how the run ended.

        Raises:
            OSError: It cannot be written.
        """
        self._write("finish.json", dataclasses.asdict(finish))

    def segments(self) -> list[Path]:
        """Files of the segments, oldest first."""
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def segment(self, first: int) -> Path:
        """The file of the segment that begins with row number `first`."""
        return self.folder / f"{first:020d}{_SUFFIX}"

    def release(self) -> None:
        """Give up the directory. In a forked child this leaves it with the parent."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def remove(self) -> None:
        """Delete the directory, and the run's folder if no other writer has rows in it."""
        with contextlib.suppress(OSError):
            for path in [*self.segments(), self.folder / "finish.json", self.folder / "run.json"]:
                path.unlink(missing_ok=True)
            (self.folder / "lock").unlink(missing_ok=True)
            self.folder.rmdir()
            self.folder.parent.rmdir()
        self.release()

    def _write(self, name: str, value: Any) -> None:
        temporary = self.folder / f"{name}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(dumps(value))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)
        sync_folder(self.folder)


def orphans(root: Path, *, run_id: str | None = None) -> Iterator[SpoolDirectory]:
    """Take over the directories that dead processes have left in a spool, oldest writer first.

    Args:
        root: Folder of the whole spool; need not exist.
        run_id: Only this run.
    """
    folders: list[Path] = []
    with contextlib.suppress(OSError):  # the folder cannot be read, or cannot be one
        # A writer's UUID begins with its time, so its name sorts by age.
        folders = sorted(root.glob(f"{run_id or '*'}/*"), key=lambda path: path.name)
    for folder in folders:
        if folder.parent.name != DEAD_LETTERS and (directory := SpoolDirectory.take_over(folder)):
            yield directory


def _make_root(root: Path) -> None:
    if not root.exists():
        root.mkdir(0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            (root / ".gitignore").write_text("*\n")


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the directory's lock, or None if another process does."""
    if fcntl is None:
        raise OSError("files cannot be locked on this platform")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(folder / "lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
