"""A client that reads runs, over the same HTTP API as the dashboard."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import pyarrow as pa

from htga_client import wire
from htga_client.http.connection import Connection
from htga_client.url import DEFAULT_URL
from htga_client.wire.json_codec import dumps, loads

T = TypeVar("T")


class Client:
    """A reader of one collector.

    Every method raises `htga_client.errors.Refused` with the collector's reason, or `Unreachable`
    if there is no answer.

    Args:
        url: Base address of the collector; by default HTGA_URL, or else this machine.
        token: Bearer token; by default HTGA_TOKEN.
        timeout: Seconds that an answer may take.

    Raises:
        ValueError: `url` is not an http or https address.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, timeout: float = 60.0
    ) -> None:
        self._connection = Connection(
            url or os.environ.get("HTGA_URL") or DEFAULT_URL,
            token or os.environ.get("HTGA_TOKEN"),
            timeout=timeout,
        )

    def runs(
        self,
        *,
        project: str | None = None,
        state: wire.RunState | None = None,
        group: str | None = None,
        tag: str | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> list[wire.Run]:
        """List runs, newest first, over all pages.

        Args:
            project: Only runs of this project.
            state: Only runs in this state.
            group: Only runs of this group.
            tag: Only runs with this tag.
            q: A search such as "maple state:running lr<0.01 -tag:old"; see docs/api.md.
            limit: Maximum number of runs.
        """
        wanted = {"project": project, "state": state, "group": group, "tag": tag, "q": q}
        found: list[wire.Run] = []
        cursor = None
        while limit is None or len(found) < limit:
            size = 1000 if limit is None else min(1000, limit - len(found))
            page = self._get(wire.RunPage, "/runs", wanted | {"limit": size, "cursor": cursor})
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        return found

    def run(self, run_id: str) -> wire.Run:
        """One run with the latest value of everything it measured."""
        return self._get(wire.Run, _path(run_id))

    def series(
        self,
        run: str | wire.Run,
        keys: str | Iterable[str],
        *,
        layer: str = "",
        rank: int = 0,
        start: int | None = None,
        stop: int | None = None,
        buckets: int | None = None,
    ) -> pa.Table:
        """Values over steps.

        Args:
            run: The run or its id.
            keys: Names of scalars and of metrics, as a sequence or separated by commas.
            layer: Name of a layer; empty for the whole model.
            rank: Rank of the process that logged them.
            start: First step.
            stop: Step after the last one.
            buckets: Maximum number of rows; with fewer values, each row is one value. The
                collector has a default.

        Returns:
            A table with the columns `step` and `time` and, for each key, `<key>` (the last value
            of the bucket), `<key>.mean`, `<key>.min` and `<key>.max`; null where nothing was
            measured.
        """
        where = {"layer": layer, "rank": rank, "start": start, "stop": stop, "buckets": buckets}
        params = {"keys": _keys(keys)} | where
        answer = self._connection.request(
            "GET", _path(run, "/series"), params=params, accept=wire.ARROW_STREAM
        )
        return _table(answer)

    def histograms(
        self,
        run: str | wire.Run,
        *,
        layer: str = "",
        rank: int = 0,
        start: int | None = None,
        stop: int | None = None,
        buckets: int | None = None,
    ) -> wire.Histograms:
        """Histograms of |gradient| over steps; the arguments are those of `series`."""
        params = {"layer": layer, "rank": rank, "start": start, "stop": stop, "buckets": buckets}
        return self._get(wire.Histograms, _path(run, "/histograms"), params)

    def groups(
        self,
        keys: str | Iterable[str],
        *,
        project: str | None = None,
        runs: Iterable[str | wire.Run] | None = None,
        by: str | Iterable[str] = (),
        x: wire.Axis = "step",
        layer: str = "",
        rank: int = 0,
        start: int | None = None,
        stop: int | None = None,
        state: wire.RunState | None = None,
        tag: str | None = None,
        buckets: int | None = None,
    ) -> list[wire.GroupSeries]:
        """Means over the runs of each group, with standard deviation and 95 % interval.

        Args:
            keys, layer, rank, start, stop: As in `series`.
            project: The project whose runs are grouped.
            runs: The runs or their ids, instead of a project; unknown ids are ignored.
            by: What the runs of a group share: one or several of "group" and "config." with the
                name of a setting, such as "config.lr"; by default each run is its own group.
            x: The axis: "step", "time" in seconds since 1970, or "relative", in seconds since a
                run's first row.
            state: Only runs in this state.
            tag: Only runs with this tag.
            buckets: Maximum number of points.
        """
        which = {
            "project": project,
            "runs": None if runs is None else ",".join(map(_id, runs)),
            "by": [by] if isinstance(by, str) else list(by),
            "state": state,
            "tag": tag,
        }
        where = {"layer": layer, "rank": rank, "start": start, "stop": stop}
        params = {"keys": _keys(keys), "x": x, "buckets": buckets} | where | which
        return list(self._get(wire.GroupedSeries, "/groups/series", params).items)

    def layer_map(
        self,
        run: str | wire.Run,
        key: str = "alpha_hat",
        *,
        rank: int = 0,
        start: int | None = None,
        stop: int | None = None,
        buckets: int | None = None,
    ) -> wire.LayerMap:
        """One scalar of every layer over steps; the arguments are those of `series`."""
        params = {"key": key, "rank": rank, "start": start, "stop": stop, "buckets": buckets}
        return self._get(wire.LayerMap, _path(run, "/layers/map"), params)

    def events(self, run: str | wire.Run) -> list[wire.RunEvent]:
        """Events of a run: alerts, and gradients that became non-finite."""
        return list(self._get(wire.RunEvents, _path(run, "/events")).items)

    def alerts(self, project: str | None = None, *, limit: int | None = None) -> list[wire.Alert]:
        """Warnings and errors, latest first, of the hundred runs with the latest events.

        Args:
            project: Only runs of this project.
            limit: Maximum number of alerts; 100 by default.
        """
        params = {"project": project, "limit": limit}
        return list(self._get(wire.Alerts, "/alerts", params).items)

    def status(self) -> wire.Status:
        """State of the collector."""
        return self._get(wire.Status, "/status")

    def rules(self, project: str | None = None) -> list[wire.Rule]:
        """Rules of a project, or of all projects."""
        return list(self._get(wire.Rules, "/rules", {"project": project}).items)

    def add_rule(self, rule: wire.NewRule) -> wire.Rule:
        """Add a rule."""
        return self._send(wire.Rule, "POST", "/rules", rule)

    def change_rule(self, rule: wire.Rule) -> wire.Rule:
        """Replace the rule with the same id."""
        return self._send(wire.Rule, "PUT", f"/rules/{quote(rule.id, safe='')}", rule)

    def delete_rule(self, rule_id: str) -> None:
        """Delete a rule."""
        self._connection.request("DELETE", f"/rules/{quote(rule_id, safe='')}")

    def try_rule(self, rule: wire.NewRule, runs: Iterable[str] = ()) -> list[wire.Firing]:
        """Where a rule would have fired in these runs, or in all runs of its project."""
        found: list[wire.Firing] = []
        trial = wire.Trial(rule=rule, runs=tuple(runs))
        while True:
            page = self._send(wire.Firings, "POST", "/rules/try", trial)
            found += page.items
            if page.next is None:
                return found
            trial = dataclasses.replace(trial, cursor=page.next)

    def tokens(self) -> list[wire.Token]:
        """The collector's tokens, without their secrets."""
        return list(self._get(wire.Tokens, "/tokens").items)

    def query(self, sql: str, *, limit: int = 10_000, skip_damaged: bool = False) -> pa.Table:
        """The result of one SELECT over live and archived runs.

        Args:
            sql: The statement.
            limit: Maximum number of rows; ask for one more to learn whether there are more.
            skip_damaged: Whether to leave out rows of damaged files of the archive, which otherwise
                make the query fail; `wire.LEFT_OUT` in the metadata of the table names them.
        """
        answer = self._connection.request(
            "POST",
            "/query",
            params={"skip_damaged": "true" if skip_damaged else None},
            content=dumps(wire.Query(sql=sql, limit=limit)),
            accept=wire.ARROW_STREAM,
        )
        return _table(answer)

    def change(
        self,
        run: str | wire.Run,
        *,
        name: str | None = None,
        group: str | None = None,
        tags: Iterable[str] | None = None,
        notes: str | None = None,
    ) -> wire.Run:
        """Change the name, group, tags or notes of a run; what is left out stays."""
        patch = wire.RunPatch(
            name=name, group=group, tags=None if tags is None else tuple(tags), notes=notes
        )
        return self._send(wire.Run, "PATCH", _path(run), patch)

    def archive(self, run_id: str) -> wire.Archive:
        """Write a finished run to the archive."""
        return self._send(wire.Archive, "POST", _path(run_id, "/archive"))

    def archive_faults(self, run_id: str) -> tuple[str, ...]:
        """What is wrong with the files of an archived run, after reading each of them."""
        return self._get(wire.ArchiveFaults, f"/archive/{run_id}/faults").faults

    def restore_rows(self, run_id: str) -> wire.Run:
        """Put the rows of a run that is in the archive alone back into the database."""
        return self._send(wire.Run, "POST", _path(run_id, "/restore-rows"))

    def delete(self, run_id: str) -> None:
        """Delete a run, its rows and its archive; `restore` can undo it for a day."""
        self._connection.request("DELETE", _path(run_id))

    def restore(self, run_id: str) -> wire.Run:
        """Restore a run that was deleted within the last day."""
        return self._send(wire.Run, "POST", _path(run_id, "/restore"))

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _get(self, cls: type[T], path: str, params: Mapping[str, Any] | None = None) -> T:
        return loads(cls, self._connection.request("GET", path, params=params))

    def _send(self, cls: type[T], method: str, path: str, body: object = None) -> T:
        content = None if body is None else dumps(body)
        return loads(cls, self._connection.request(method, path, content=content))


def _keys(keys: str | Iterable[str]) -> str:
    names = keys.split(",") if isinstance(keys, str) else keys
    return ",".join(quote(key, safe="") for key in names)


def _id(run: str | wire.Run) -> str:
    return run if isinstance(run, str) else run.id


def _path(run: str | wire.Run, rest: str = "") -> str:
    return f"/runs/{quote(_id(run), safe='')}{rest}"


def _table(stream: bytes) -> Any:
    table = pa.ipc.open_stream(stream).read_all()
    table.validate(full=True)  # it came over a network
    return table
