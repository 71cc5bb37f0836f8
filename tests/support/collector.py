"""A collector as a process of its own that can be sabotaged: `collector.py DATA PORT [FLAG ...]`.

Each flag breaks one promise, and a fault test runs with it as its control, which must fail:

* `early` acknowledges before the commit;
* `unsynced` commits without waiting for the disk;
* `deaf` acknowledges what the disk refused;
* `locking` keeps no write-ahead log, so that readers block writers;
* `trusting` starts on a damaged file;
* `leaking` keeps 64 KiB of each request;
* `unvalidated` reads Arrow without checking it;
* `unwatchful` does not notice that its log is deleted;
* `opening` opens the path that a run is named like.

`watched` breaks nothing: it writes down which files are opened, beside the data.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from htga_client.wire import Receipt
from htga_server.api import runs as routes_of_runs
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.ingest import decode
from htga_server.ingest.store import IngestRequest, IngestResult
from htga_server.settings import Settings
from htga_server.storage import engines
from htga_server.storage.database import Database
from htga_server.storage.wal import WalGuard


def acknowledged(request: IngestRequest) -> IngestResult:
    """The answer to a request, stored or not."""
    sent = request.batch.table.num_rows
    receipt = Receipt(accepted=sent, duplicates=0, next_seq=request.batch.first_seq + sent)
    return IngestResult(receipt, None, {})


def acknowledge_early() -> None:
    """Answer as soon as the work is queued, and commit a moment later."""
    write = Database.write_batched

    async def sabotaged(self: Database, work: Any, item: Any) -> Any:
        async def later() -> None:
            await asyncio.sleep(0.2)
            with contextlib.suppress(Exception):  # too late to tell anybody
                await write(self, work, item)

        asyncio.get_running_loop().create_task(later())
        return acknowledged(item)

    Database.write_batched = sabotaged  # type: ignore[method-assign]


def acknowledge_regardless() -> None:
    """Answer as if what could not be stored had been."""
    write = Database.write_batched

    async def sabotaged(self: Database, work: Any, item: Any) -> Any:
        try:
            return await write(self, work, item)
        except sa.exc.DBAPIError:
            return acknowledged(item)

    Database.write_batched = sabotaged  # type: ignore[method-assign]


def keep_no_log() -> None:
    """Write into the database itself, which takes a lock that readers see."""
    engines.SQLITE_PRAGMAS = tuple(
        pragma.replace("WAL", "DELETE").replace("60000", "200") for pragma in engines.SQLITE_PRAGMAS
    )
    trust_any_file()
    ignore_the_log()


def ignore_the_log() -> None:
    """Believe that the log is where it was."""
    WalGuard.was_replaced = lambda _: False  # type: ignore[assignment, method-assign]


def leak() -> None:
    """Keep 64 KiB of each request."""
    write, kept = Database.write_batched, []

    async def leaking(self: Database, work: Any, item: Any) -> Any:
        kept.append(b"x" * 2**16)
        return await write(self, work, item)

    Database.write_batched = leaking  # type: ignore[method-assign]


def trust_any_file() -> None:
    """Do not look at the database before it is used."""
    Database.check = lambda _: None  # type: ignore[assignment, method-assign]


def read_as_it_comes() -> None:
    """Believe what Arrow's buffers say of themselves."""
    decode._validate = lambda _: None  # type: ignore[assignment]


def open_what_is_named(data: Path) -> None:
    """Take the name of a run for a path."""
    registration = routes_of_runs._registration

    def opening(said: Any) -> Any:
        with contextlib.suppress(OSError, ValueError):
            (data / str(said.get("name"))).read_bytes()
        return registration(said)

    routes_of_runs._registration = opening  # type: ignore[assignment]


def write_down_what_is_opened(log: Path) -> None:
    """Add the path of each file that Python's code opens, looks through or moves."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in {"open", "sqlite3.connect", "shutil.rmtree"} or event.startswith("os."):
            paths = [
                os.fspath(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike)
            ]
            os.write(
                out, b"".join(os.fsencode(path).replace(b"\n", b"?") + b"\n" for path in paths)
            )

    sys.addaudithook(watch)


def leave_unsynced() -> None:
    """Let the operating system write when it likes."""
    engines.SQLITE_PRAGMAS = tuple(
        pragma.replace("FULL", "OFF") for pragma in engines.SQLITE_PRAGMAS
    )


SABOTAGE: dict[str, Callable[[], None]] = {
    "early": acknowledge_early,
    "unsynced": leave_unsynced,
    "deaf": acknowledge_regardless,
    "locking": keep_no_log,
    "trusting": trust_any_file,
    "leaking": leak,
    "unvalidated": read_as_it_comes,
    "unwatchful": ignore_the_log,
}


def main(arguments: Sequence[str]) -> None:
    """Serve until killed; takes the data folder, the port and the sabotage."""
    data, port, sabotage = Path(arguments[0]), int(arguments[1]), arguments[2:]
    for name in sabotage:
        SABOTAGE.get(name, lambda: None)()
    if "opening" in sabotage:
        open_what_is_named(data)
    server = Server(create_app(Settings(data=data)), port=port)
    if "watched" in sabotage:
        write_down_what_is_opened(data.parent / "opened")
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
