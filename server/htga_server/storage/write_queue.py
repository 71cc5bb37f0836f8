"""Writes that somebody waits for, and doing several of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from htga_server.problems import ServerError

Work = Callable[[sa.Connection, Sequence[Any]], list[Any]]
"""Does what some items ask for, together; returns of each the result, or its refusal."""


class Job:
    """A write that somebody waits for.

    Args:
        work: Does it; jobs of the same work that wait together are one call.
        item: What is asked for.
    """

    def __init__(self, work: Work, item: Any = None) -> None:
        self.work = work
        self.item = item
        self.done: Future[Any] = Future()
        self.result: Any = None

    def tell(self) -> None:
        """Give whoever waits the result, unless they have left."""
        if not self.done.set_running_or_notify_cancel():
            return
        if isinstance(self.result, Exception):
            self.done.set_exception(self.result)
        else:
            self.done.set_result(self.result)


def alone(work: Callable[[sa.Connection], Any]) -> Work:
    """A work of its own, that asks for nothing."""

    def do(connection: sa.Connection, _: Sequence[Any]) -> list[Any]:
        return [work(connection)]

    return do


def attempt(connection: sa.Connection, jobs: Sequence[Job]) -> None:
    """Do jobs; of several works each in a savepoint, so that a refusal undoes its own part.

    A work by itself has the transaction for that, and its refusal is raised.
    """
    together: dict[Work, list[Job]] = {}
    for job in jobs:
        together.setdefault(job.work, []).append(job)
    for work, own in together.items():
        items = [job.item for job in own]
        results: list[Any]
        if len(together) == 1:
            results = work(connection, items)
        else:
            try:
                with connection.begin_nested():
                    results = work(connection, items)
            except ServerError as error:
                results = [error] * len(own)
        for job, result in zip(own, results, strict=True):
            job.result = result
