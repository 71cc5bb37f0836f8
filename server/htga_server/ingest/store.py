"""Store the rows of requests. Each request is stored whole, or not at all.

A writer numbers its rows. `writers.next_seq` moves in the transaction that stores them, so a batch
that is sent again, because its answer was lost, is recognized however late it arrives.

Requests that wait at the same time are stored together, with one statement for each table: a
statement costs about as much as ten rows.
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
from htga_server.ingest.decode import Batch
from htga_server.ingest.prepare import Prepared, prepare
from htga_server.ingest.run_summaries import update_runs
from htga_server.ingest.sequencing import (
    SequencedBatch,
    check_sequence,
    save_sequences,
    without_numbers,
)
from htga_server.problems import ServerError
from htga_server.runs import events, writers
from htga_server.runs.lookup import lock_all, name_ids_of_all
from htga_server.settings import Settings
from htga_server.storage import bulk
from htga_server.storage.tables import names
from htga_server.timeseries.append import SeriesSlice, append
from htga_server.timeseries.row_batch import Ints, Rows, compact_histograms
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKey, SeriesKind

StepRanges = dict[int, tuple[int, int]]
"""By rank, a first and a last step."""
NameIds = dict[tuple[int, str], dict[str, int]]
"""By run and kind, the numbers of names."""


@dataclass(frozen=True, slots=True, eq=False)
class IngestRequest:
    """Rows that were sent to a run.

    Attributes:
        limits: Limits of the run and of its project.
        prepared: The checked and sorted rows of a large batch, which is prepared in advance.
    """

    run_id: str
    batch: Batch
    limits: Settings
    prepared: Prepared | None = None


class IngestResult(NamedTuple):
    """The receipt of a request, and the steps that it brought."""

    receipt: Receipt
    last_step: int | None
    steps: StepRanges


Answer = IngestResult | ServerError


def store_requests(connection: sa.Connection, requests: Sequence[IngestRequest]) -> list[Answer]:
    """Store the rows of requests.

    A row whose key is stored already in the same attempt is merged into it: measured values
    replace stored ones, nulls do not.

    Returns:
        For each request its result, or the error that refuses it: `NotFound`, no such run exists;
        `Conflict`, rows before this batch are missing (the problem has `expected_seq`), or other
        rows were stored under these numbers, or the run was pruned; `NoRoom`, the project is full.
        Of layers, metrics and writers beyond the run's limits the receipt says so.
    """
    answers: dict[int, Answer] = {}
    for group in _groups(requests):
        own = [requests[number] for number in group]
        answers |= zip(group, _store(connection, own), strict=True)
    return [answers[number] for number in range(len(requests))]


class _RunOrder:
    """The order in which requests of one run are stored, since each may depend on earlier ones.

    Requests of different writers and different ranks are independent: the processes of a
    distributed run send at the same time, and their rows are stored together.
    """

    def __init__(self) -> None:
        self._turn = -1
        self._writers: set[str] = set()
        self._ranks: set[int] = set()

    def turn(self, request: IngestRequest) -> int:
        """Return the turn of the next request: that of the request before, or the next."""
        writer, ranks = request.batch.writer, request.batch.ranks
        alone = writer is None or request.prepared is not None
        if alone or not self._writers or writer in self._writers or ranks & self._ranks:
            self._turn += 1
            self._writers, self._ranks = set(), set()
        if writer is not None and not alone:
            self._writers.add(writer)
            self._ranks |= ranks
        return self._turn


def _groups(requests: Sequence[IngestRequest]) -> list[list[int]]:
    """Group requests that are stored together: those of one turn, but large ones alone."""
    number_of = Counter(request.run_id for request in requests)
    orders: dict[str, _RunOrder] = defaultdict(_RunOrder)
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, request in enumerate(requests):
        turn = orders[request.run_id].turn(request) if number_of[request.run_id] > 1 else 0
        found[turn, -1 if request.prepared is None else number].append(number)
    return [found[key] for key in sorted(found)]


def _store(connection: sa.Connection, requests: Sequence[IngestRequest]) -> list[Answer]:
    """Store requests of different runs, or of different writers and ranks of one run."""
    prepared = requests[0].prepared or prepare([request.batch.table for request in requests])
    accepted, refused = _sequence(connection, requests, prepared)
    # The first row to store of each request; a refused request stores none.
    first = np.array([checked.sent for checked in prepared.requests], np.int64)
    for number, one in accepted.items():
        first[number] = one.skipped
    rows = {LAYERS: prepared.steps.since(first), METRICS: prepared.metrics.since(first)}
    ids = name_ids_of_all(connection, [one.run.run_key for one in accepted.values()])
    added: list[tuple[int, str, int, str]] = []
    attempts: dict[int, int] = {}
    is_full = False
    for number, new in _new_names(rows, accepted, ids).items():
        one, limits = accepted[number], requests[number].limits
        attempts[number] = one.attempt(connection, limits.writers_per_run)
        numbered = _number_names(one.run.run_key, new, ids, limits)
        added += numbered
        for run_key, kind, new_id, name in numbered:
            ids[run_key, kind][name] = new_id
        is_full |= any(
            name not in ids[one.run.run_key, kind] for kind, some in new.items() for name in some
        )
    bulk.upsert(connection, names, added)
    if is_full:
        rows = {kind: _with_names(own, kind, accepted, ids, requests) for kind, own in rows.items()}
    steps, ends = _append(connection, rows, accepted, attempts, ids)
    for number, one in accepted.items():
        new_events = [event for event in one.checked.events if event.row >= one.skipped]
        # Rows without numbers may come again, and their events with them.
        store_events = events.store_new if one.batch.writer is None else events.store
        store_events(connection, one.run.run_key, attempts[number], new_events)
    with_rows = {n: one for n, one in accepted.items() if one.skipped < one.checked.sent}
    update_runs(connection, with_rows, rows, ends, ids)
    save_sequences(connection, list(accepted.values()))
    return [
        IngestResult(accepted[number].receipt, accepted[number].checked.last_step, steps[number])
        if number in accepted
        else refused[number]
        for number in range(len(requests))
    ]


def _sequence(
    connection: sa.Connection, requests: Sequence[IngestRequest], prepared: Prepared
) -> tuple[dict[int, SequencedBatch], dict[int, ServerError]]:
    """Return, by number of the request, the batches to store, and the errors of the others."""
    found = lock_all(connection, [request.run_id for request in requests])
    senders = [
        (found[request.run_id].run_key, writer)
        for request in requests
        if request.run_id in found
        and (writer := request.batch.writer or request.batch.attempt_of) is not None
    ]
    known = writers.find_writers(connection, senders)
    limits = requests[0].limits
    unknown = {key for key, writer in senders if (key, writer) not in known}
    crowded = writers.full_runs(connection, unknown, limits.writers_per_run)
    full = quotas.full_projects(connection, found.values(), limits.bytes_per_project)
    accepted: dict[int, SequencedBatch] = {}
    refused: dict[int, ServerError] = {}
    for number, (request, checked) in enumerate(zip(requests, prepared.requests, strict=True)):
        run, batch = found.get(request.run_id), request.batch
        is_one_too_many = (
            batch.writer is not None
            and run is not None
            and run.run_key in crowded
            and (run.run_key, batch.writer) not in known
        )
        if is_one_too_many:
            batch = without_numbers(batch)
        try:
            one = check_sequence(request.run_id, run, batch, checked, known)
            if is_one_too_many:
                reason = writers.no_more(limits.writers_per_run)
                one.left_out["writer", "", reason] += checked.sent
            quotas.check(one, full)
            accepted[number] = one
        except ServerError as error:
            refused[number] = error
    return accepted, refused


def _append(
    connection: sa.Connection,
    rows: Mapping[SeriesKind, Rows],
    accepted: Mapping[int, SequencedBatch],
    attempts: Mapping[int, int],
    ids: NameIds,
) -> tuple[dict[int, StepRanges], dict[SeriesKind, Ints]]:
    """Append the rows; return the steps of each request, and where each series ended before."""
    steps: dict[int, StepRanges] = defaultdict(dict)
    ends = {}
    for kind, own in rows.items():
        slices = []
        for where in own.series():
            number, rank = int(own.source[where.start]), int(own.rank[where.start])
            run_key, name = accepted[number].run.run_key, own.names[own.name[where.start]]
            key = SeriesKey(kind, run_key, ids[run_key, kind.name][name], rank)
            slices.append(SeriesSlice(key, attempts[number], where))
            begin, end = int(own.step[where.start]), int(own.step[where.stop - 1])
            first, last = steps[number].get(rank, (begin, end))
            steps[number][rank] = min(first, begin), max(last, end)
        ends[kind] = append(connection, kind, own, slices)
    return steps, ends


def _new_names(
    rows: Mapping[SeriesKind, Rows], accepted: Mapping[int, SequencedBatch], ids: NameIds
) -> dict[int, dict[str, list[str]]]:
    """Return, by request and kind, the names that its run does not have yet."""
    found: dict[int, dict[str, list[str]]] = {
        number: {kind.name: [] for kind in rows} for number in accepted
    }
    for kind, own in rows.items():
        for where in own.series():
            number, name = int(own.source[where.start]), own.names[own.name[where.start]]
            if name not in ids[accepted[number].run.run_key, kind.name]:
                found[number][kind.name].append(name)
    return found


def _number_names(
    run_key: int, new: Mapping[str, list[str]], ids: NameIds, limits: Settings
) -> list[tuple[int, str, int, str]]:
    """Return rows of the table of names that give new names the next free numbers.

    Names beyond the run's limits get none.
    """
    added: list[tuple[int, str, int, str]] = []
    for kind, limit in (("layer", limits.layers_per_run), ("metric", limits.metrics_per_run)):
        known = ids[run_key, kind]  # includes what requests of other ranks have just added
        missing = [name for name in dict.fromkeys(new[kind]) if name not in known]
        start = max(known.values(), default=-1) + 1
        room = max(0, limit - start)
        added += [(run_key, kind, start + i, name) for i, name in enumerate(missing[:room])]
    return added


def _with_names(
    rows: Rows,
    kind: SeriesKind,
    accepted: Mapping[int, SequencedBatch],
    ids: NameIds,
    requests: Sequence[IngestRequest],
) -> Rows:
    """Leave out the series whose names have no number, and say so in the receipts."""
    kept = np.ones(rows.size, np.bool_)
    for where in rows.series():
        number, name = int(rows.source[where.start]), rows.names[rows.name[where.start]]
        one, limits = accepted[number], requests[number].limits
        if name not in ids[one.run.run_key, kind.name]:
            kept[where] = False
            limit = limits.layers_per_run if kind is LAYERS else limits.metrics_per_run
            reason = f"a run has at most {limit} {kind.name}s"
            one.left_out[kind.name, name, reason] += where.stop - where.start
    return rows if kept.all() else compact_histograms(rows[kept])
