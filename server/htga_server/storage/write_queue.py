"""Writes whose callers wait for them, and the execution of several in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from htga_server.problems import ServerError

Work = Callable[[sa.Connection, Sequence[Any]], list[Any]]
"""Handles several items at once; returns for each its result, or the error that refuses it."""


class Job:
    """A write whose caller waits for it.

    Args:
        work: Handles the item; jobs with the same work that wait together share one call.
        item: What the caller passes to the work.
    """

    def __init__(self, work: Work, item: Any = None) -> None:
        self.work = work
        self.item = item
        self.done: Future[Any] = Future()
        self.result: Any = None

    def resolve(self) -> None:
        """Hand the result to the caller, unless the caller has left."""
        if not self.done.set_running_or_notify_cancel():
            return
        if isinstance(self.result, Exception):
            self.done.set_exception(self.result)
        else:
            self.done.set_result(self.result)


def single(work: Callable[[sa.Connection], Any]) -> Work:
    """Wrap a function that takes only a connection as a batch of one."""

    def do(connection: sa.Connection, _: Sequence[Any]) -> list[Any]:
        return [work(connection)]

    return do


def execute_jobs(connection: sa.Connection, jobs: Sequence[Job]) -> None:
    """Execute jobs and set their results.

    Jobs of several works run in one savepoint for each work, so that a refusal undoes its own part
    only. A work that is alone has the whole transaction; its refusal is raised.
    """
    by_work: dict[Work, list[Job]] = {}
    for job in jobs:
        by_work.setdefault(job.work, []).append(job)
    for work, own in by_work.items():
        items = [job.item for job in own]
        results: list[Any]
        if len(by_work) == 1:
            results = work(connection, items)
        else:
            try:
                with connection.begin_nested():
                    results = work(connection, items)
            except ServerError as error:
                results = [error] * len(own)
        for job, result in zip(own, results, strict=True):
            job.result = result
