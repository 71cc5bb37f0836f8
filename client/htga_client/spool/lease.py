"""Whose a folder of spooled rows is.

A spool is a folder per run, in it a folder per writer, and in that: `run.json`, the run as it was
registered and where its rows go; `finish.json`, once the run has ended; `lock`; and the segments.
Who holds the lock owns the folder. The operating system lets go of it when a process dies, however
it dies, so a folder that can be locked has lost its owner.
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
from htga_client.spool.backing import sync_folder
from htga_client.wire import json_codec as codec

try:
    import fcntl
except ModuleNotFoundError:  # Windows: nothing is spooled there
    fcntl = None  # type: ignore[assignment]

DEAD = "dead"
"""Folder beside those of the runs, for rows that the collector refuses."""

_SUFFIX = ".seg"


class Claim:
    """A writer's folder, owned by this process. Made by `create` and `adopt`.

    Attributes:
        root: The spool.
        folder: This writer's.
        run: The run; its `writer` is who wrote the rows.
        url: The collector they were meant for; empty if none was.
    """

    def __init__(self, folder: Path, lock: int, run: wire.NewRun, url: str) -> None:
        self.root = folder.parent.parent
        self.folder = folder
        self.run = run
        self.url = url
        self._lock = lock

    @classmethod
    def create(cls, root: Path, run: wire.NewRun, url: str) -> Claim:
        """Make a writer's folder.

        Raises:
            OSError: The folder cannot be made, or this platform cannot lock a file.
        """
        if run.writer is None:
            raise ValueError("a spool is a writer's: run.writer must be given")
        _make_root(root)
        folder = root / run.id / run.writer
        folder.parent.mkdir(0o700, exist_ok=True)
        folder.mkdir(0o700)
        lock = _lock(folder)
        if lock is None:
            raise BlockingIOError(f"{folder} belongs to another process")
        claim = cls(folder, lock, run, url)
        # Last and in one move: a folder with run.json in it and without a lock is an orphan.
        claim._write("run.json", {"url": url, "run": codec.plain(run)})
        return claim

    @classmethod
    def adopt(cls, folder: Path) -> Claim | None:
        """Take over the folder of a process that is gone; None if it is not, or left nothing."""
        with contextlib.suppress(OSError, ValueError):
            if not (folder / "run.json").exists():
                return None
            lock = _lock(folder)
            if lock is None:
                return None
            try:
                # Read under the lock: another may have delivered and removed it meanwhile.
                said = json.loads((folder / "run.json").read_bytes())
                run = codec.loads(wire.NewRun, json.dumps(said["run"]).encode())
                return cls(folder, lock, run, str(said["url"]))
            except (OSError, ValueError, KeyError, TypeError):
                os.close(lock)
        return None

    @property
    def finish(self) -> wire.Finish | None:
        """How the run ended, if it has said so."""
        with contextlib.suppress(OSError, ValueError):
            return codec.loads(wire.Finish, (self.folder / "finish.json").read_bytes())
        return None

    def say_finish(self, finish: wire.Finish) -> None:
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
        """Leave the folder to others. In a forked child this leaves it with the parent."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def remove(self) -> None:
        """Delete the folder, and that of the run if no other writer has rows in it."""
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
            file.write(codec.dumps(value))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)
        sync_folder(self.folder)


def orphans(root: Path, *, run_id: str | None = None) -> Iterator[Claim]:
    """Adopt what processes that are gone have left in a spool, oldest writer first.

    Args:
        root: The spool; need not exist.
        run_id: Only of this run.
    """
    # A writer's UUID begins with its time, so its name sorts by age.
    for folder in sorted(root.glob(f"{run_id or '*'}/*"), key=lambda path: path.name):
        if folder.parent.name != DEAD and (claim := Claim.adopt(folder)) is not None:
            yield claim


def _make_root(root: Path) -> None:
    if not root.exists():
        root.mkdir(0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            (root / ".gitignore").write_text("*\n")


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, or None where another process does."""
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
