"""Storing the rows of requests: each request either happened, whole, or did not.

A writer numbers its rows. `writers.next_seq` moves in the same transaction that stores them, so a
batch that is sent again, because its answer was lost, is recognised however late it comes.

Requests that wait at the same time are stored together, with one statement for each table: a
statement costs about what ten rows do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_client.wire import Receipt
from htga_server.ingest import quotas
from htga_server.ingest import run_summaries as summaries
from htga_server.ingest import sequencing as admission
from htga_server.ingest.decode import Batch
from htga_server.ingest.prepare import Prepared, prepare
from htga_server.ingest.sequencing import Admitted
from htga_server.problems import Quota, ServerError
from htga_server.runs import events, writers
from htga_server.runs.lookup import lock_all, name_ids_of_all
from htga_server.settings import Settings
from htga_server.storage import bulk
from htga_server.storage.tables import names
from htga_server.timeseries import append as settle
from htga_server.timeseries.append import Part
from htga_server.timeseries.row_batch import Rows
from htga_server.timeseries.series_key import LAYERS, METRICS, Kind, Track

Reach = dict[int, tuple[int, int]]
"""By rank, a first and a last step."""
Ids = dict[tuple[int, str], dict[str, int]]
"""By run and kind, the numbers of names."""


@dataclass(frozen=True, slots=True, eq=False)
class Posted:
    """Rows that were sent for a run.

    Attributes:
        limits: What it may fill up.
        prepared: The rows, checked and sorted, where that was done already, as for a large batch.
    """

    run_id: str
    batch: Batch
    limits: Settings
    prepared: Prepared | None = None


class Stored(NamedTuple):
    """What became of a request, and which steps it brought."""

    receipt: Receipt
    last_step: int | None
    reach: Reach


Answer = Stored | ServerError


def store(connection: sa.Connection, requests: Sequence[Posted]) -> list[Answer]:
    """Store the rows of requests.

    A row whose key is stored already in the same attempt is merged into it: what the new row
    measured wins, what it leaves null stays.

    Returns:
        For each request what became of it, or why nothing did: `NotFound`, there is no such run;
        `Conflict`, rows before this batch are missing (the problem says `expected_seq`), or others
        were stored under these numbers, or the run was pruned; `Quota`, the run would have more
        layers, metrics or writers than is allowed; `NoRoom`, the project would keep too much.
    """
    answers: dict[int, Answer] = {}
    for group in _groups(requests):
        own = [requests[number] for number in group]
        answers |= zip(group, _store(connection, own), strict=True)
    return [answers[number] for number in range(len(requests))]


class _Turns:
    """When the requests of one run are stored, for each may depend on those before it.

    Those of different writers that are of different ranks do not: the processes of a distributed
    run send at the same time, and need not wait for each other.
    """

    def __init__(self) -> None:
        self._turn = -1
        self._writers: set[str] = set()
        self._ranks: set[int] = set()

    def next(self, request: Posted) -> int:
        """The number of the next request's turn: of the one before, or a new one."""
        writer, ranks = request.batch.writer, request.batch.ranks
        by_itself = writer is None or request.prepared is not None
        if by_itself or not self._writers or writer in self._writers or ranks & self._ranks:
            self._turn += 1
            self._writers, self._ranks = set(), set()
        if writer is not None and not by_itself:
            self._writers.add(writer)
            self._ranks |= ranks
        return self._turn


def _groups(requests: Sequence[Posted]) -> list[list[int]]:
    """Which are stored together: those of a turn; and large ones by themselves."""
    number_of = Counter(request.run_id for request in requests)
    turns: dict[str, _Turns] = defaultdict(_Turns)
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, request in enumerate(requests):
        turn = turns[request.run_id].next(request) if number_of[request.run_id] > 1 else 0
        found[turn, -1 if request.prepared is None else number].append(number)
    return [found[key] for key in sorted(found)]


def _store(connection: sa.Connection, requests: Sequence[Posted]) -> list[Answer]:
    """Store requests of different runs, or of different writers and ranks of one."""
    prepared = requests[0].prepared or prepare([request.batch.table for request in requests])
    admitted, refused = _admit(connection, requests, prepared)
    # A request that is refused brings nothing.
    first = np.array([checked.sent for checked in prepared.requests], np.int64)
    for number, one in admitted.items():
        first[number] = one.skipped
    rows = {LAYERS: prepared.steps.since(first), METRICS: prepared.metrics.since(first)}
    ids = name_ids_of_all(connection, [one.run.run_key for one in admitted.values()])
    added: list[tuple[int, str, int, str]] = []
    attempts: dict[int, int] = {}
    for number, new in _new_names(rows, admitted, ids).items():
        one, limits = admitted[number], requests[number].limits
        try:
            numbers = _numbers(one.run.run_key, new, ids, limits)
            attempts[number] = one.attempt(connection, limits.writers_per_run)
        except ServerError as error:
            refused[number] = error
            first[number] = one.checked.sent
            del admitted[number]
        else:
            added += numbers
            for run_key, of, new_id, name in numbers:
                ids[run_key, of][name] = new_id
    if first.size > len(admitted):
        rows = {kind: own.since(first) for kind, own in rows.items()}
    bulk.put(connection, names, added)
    reach: dict[int, Reach] = defaultdict(dict)
    ends = {}
    for kind, own in rows.items():
        parts = []
        for where in own.tracks():
            number, rank = int(own.source[where.start]), int(own.rank[where.start])
            key, name = admitted[number].run.run_key, own.names[own.name[where.start]]
            track = Track(kind, key, ids[key, kind.name][name], rank)
            parts.append(Part(track, attempts[number], where))
            begin, end = int(own.step[where.start]), int(own.step[where.stop - 1])
            low, high = reach[number].get(rank, (begin, end))
            reach[number][rank] = min(low, begin), max(high, end)
        ends[kind] = settle.add(connection, kind, own, parts)
    for number, one in admitted.items():
        happened = [event for event in one.checked.events if event.row >= one.skipped]
        events.store(connection, one.run.run_key, attempts[number], happened)
    new_rows = {n: one for n, one in admitted.items() if one.skipped < one.checked.sent}
    summaries.touch(connection, new_rows, rows, ends)
    admission.advance(connection, list(admitted.values()))
    return [
        Stored(admitted[number].receipt, admitted[number].checked.last_step, reach[number])
        if number in admitted
        else refused[number]
        for number in range(len(requests))
    ]


def _admit(
    connection: sa.Connection, requests: Sequence[Posted], prepared: Prepared
) -> tuple[dict[int, Admitted], dict[int, ServerError]]:
    """By number of the request, those that may be stored, and why the others may not."""
    found = lock_all(connection, [request.run_id for request in requests])
    senders = [
        (found[request.run_id].run_key, request.batch.writer)
        for request in requests
        if request.run_id in found and request.batch.writer is not None
    ]
    known = writers.known(connection, senders)
    full = quotas.full(connection, found.values(), requests[0].limits.bytes_per_project)
    admitted: dict[int, Admitted] = {}
    refused: dict[int, ServerError] = {}
    for number, (request, checked) in enumerate(zip(requests, prepared.requests, strict=True)):
        run = found.get(request.run_id)
        try:
            one = admission.admit(request.run_id, run, request.batch, checked, known)
            quotas.check(one, full)
            admitted[number] = one
        except ServerError as error:
            refused[number] = error
    return admitted, refused


def _new_names(
    rows: Mapping[Kind, Rows], admitted: Mapping[int, Admitted], ids: Ids
) -> dict[int, dict[str, list[str]]]:
    """Of each request by kind, the names that its run does not have yet."""
    found: dict[int, dict[str, list[str]]] = {
        number: {kind.name: [] for kind in rows} for number in admitted
    }
    for kind, own in rows.items():
        for where in own.tracks():
            number, name = int(own.source[where.start]), own.names[own.name[where.start]]
            if name not in ids[admitted[number].run.run_key, kind.name]:
                found[number][kind.name].append(name)
    return found


def _numbers(
    run_key: int, new: Mapping[str, list[str]], ids: Ids, limits: Settings
) -> list[tuple[int, str, int, str]]:
    """Rows of the table of names that give new ones the next free numbers.

    Raises:
        Quota: The run would have too many.
    """
    added: list[tuple[int, str, int, str]] = []
    for kind, most in (("layer", limits.layers_per_run), ("metric", limits.metrics_per_run)):
        known = ids[run_key, kind]  # with what requests of other ranks have added just now
        missing = [name for name in dict.fromkeys(new[kind]) if name not in known]
        start = max(known.values(), default=-1) + 1
        if missing and start + len(missing) > most:
            raise Quota(
                f"a run has at most {most} {kind}s", limit=most, actual=start + len(missing)
            )
        added += [(run_key, kind, start + i, name) for i, name in enumerate(missing)]
    return added
