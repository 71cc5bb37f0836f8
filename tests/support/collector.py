"""A collector as a process of its own that can be made to lie: `collector.py DATA PORT [LIE]`.

The lies are the controls of the fault tests, each of which must fail with one:
`early` acknowledges before the commit, `unsynced` commits without waiting for the disk.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from htga_client.wire import Receipt
from htga_server import database
from htga_server.app import create_app
from htga_server.database import Database
from htga_server.serve import Server
from htga_server.settings import Settings


def acknowledge_early() -> None:
    """Answer as soon as the work is queued, and commit a moment later."""
    write = Database.write

    async def lying(self: Database, work: Callable[..., Any]) -> Any:
        batch = getattr(work, "keywords", {}).get("batch")
        if batch is None:
            return await write(self, work)

        async def later() -> None:
            await asyncio.sleep(0.2)
            await write(self, work)

        asyncio.get_running_loop().create_task(later())
        sent = batch.rows.sent
        return Receipt(accepted=sent, duplicates=0, next_seq=batch.first_seq + sent)

    Database.write = lying  # type: ignore[method-assign]


def leave_unsynced() -> None:
    """Let the operating system write when it likes."""
    database.SQLITE_PRAGMAS = tuple(
        pragma.replace("FULL", "OFF") for pragma in database.SQLITE_PRAGMAS
    )


def main() -> None:
    """Serve until killed."""
    data, port, lies = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if "early" in lies:
        acknowledge_early()
    if "unsynced" in lies:
        leave_unsynced()
    server = Server(create_app(Settings(data=data)), port=port)
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
