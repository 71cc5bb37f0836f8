"""Processes that migrate databases at the same moments: `migrating.py PROCESSES URL ...`."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier

from htga_server.migrate import migrate
from htga_server.storage.database import Database


def _work(urls: Sequence[str], barrier: Barrier) -> None:
    for url in urls:
        database = Database(url)
        barrier.wait(60)
        database.check()
        migrate(database)
        database.close()


def main(processes: int, urls: Sequence[str]) -> int:
    """Migrate each database in all processes at once; how many of them failed."""
    fork = multiprocessing.get_context("fork")  # what takes long, the imports, is done already
    barrier = fork.Barrier(processes)
    workers = [fork.Process(target=_work, args=(urls, barrier)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(worker.exitcode != 0 for worker in workers)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
