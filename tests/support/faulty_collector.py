"""A collector that misbehaves on demand: real HTTP, everything in memory.

It keeps the contract of ingest (sequence numbers, receipts, problems) in the plainest way, so that
a test can count what arrived, and answers wrongly wherever it was told to.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

from htga_client import wire


@dataclass
class Fault:
    """How to answer one request.

    Attributes:
        status: Answer with it instead of doing anything.
        body, headers: Of that answer.
        lose: Do the work, then hang up without an answer.
        hold: Wait for this event before anything else.
    """

    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lose: bool = False
    hold: threading.Event | None = None


def refuse(status: int, detail: str = "no", **headers: str) -> Fault:
    """A problem document with that status."""
    body = json.dumps({"title": "Problem", "status": status, "detail": detail}).encode()
    return Fault(status=status, body=body, headers=headers)


class FaultyCollector:
    """A collector on a port of this machine; start it, script its faults, read what it got.

    Args:
        port: Where to listen; 0 for any free port.

    Attributes:
        rows: Stored rows in order of arrival, each with its run and its writer.
        starts: What each registration says of its start.
        gaps: Writer, first number and end of what a client said that it had lost.
        faults: Answers to the next requests for rows, in order.
        always: The answer to every request, rows or not, while it is set.
        poison: Refuse with 422 a batch that holds this step.
        forgetful: Store whatever comes, as if no row had a number.
        min_interval: Seconds that it asks a sender to let pass between two requests.
        requests: Method, path and headers of every request.
    """

    def __init__(self, port: int = 0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.next_seq: dict[str, int] = {}
        self.gaps: list[tuple[str, int, int]] = []
        self.starts: list[str | None] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.poison: int | None = None
        self.forgetful = False
        self.min_interval = 2.0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> FaultyCollector:
        """Listen; what was stored before is still there."""
        owner = self

        class Handler(_Handler):
            collector = owner

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def steps(self) -> list[int]:
        """Steps of the stored rows, in order of arrival."""
        with self.lock:
            return [row["step"] for row in self.rows]

    def wait(self, condition: Any, timeout: float = 20.0) -> bool:
        """Wait until `condition()` holds; it is checked after every request."""
        with self.changed:
            return bool(self.changed.wait_for(condition, timeout))

    def register(self, new: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer to a registration."""
        known = new["id"] in self.runs
        if new["resume"] == "never" and known:
            return 409, {"status": 409, "detail": f"run {new['id']} exists"}
        if new["resume"] == "must" and not known:
            return 404, {"status": 404, "detail": f"no run {new['id']}"}
        self.starts.append(new["start"])
        run = self.runs.setdefault(new["id"], new)
        return 200 if known else 201, _as_run(run)

    def ingest(self, run_id: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Answer to rows."""
        if run_id not in self.runs:
            return 404, {"status": 404, "detail": f"no run {run_id}"}
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        writer = table.schema.metadata[wire.WRITER].decode()
        first = int(table.schema.metadata[wire.FIRST_SEQ])
        expected = first if self.forgetful else self.next_seq.get(writer, 0)
        for begin, end in json.loads(table.schema.metadata.get(wire.GAPS, b"[]")):
            if begin <= expected < end:
                self.gaps.append((writer, expected, end))
                self.next_seq[writer] = expected = end
        if first > expected:
            return 409, {"status": 409, "detail": "rows are missing", "expected_seq": expected}
        if self.poison in table["step"].to_pylist():
            return 422, {"status": 422, "detail": "poison"}
        known = min(expected - first, table.num_rows)
        fresh = table.slice(known).to_pylist()
        self.rows += [
            row | {"run": run_id, "writer": writer, "metrics": dict(row["metrics"] or ())}
            for row in fresh
        ]
        self.next_seq[writer] = max(expected, first + table.num_rows)
        return 200, {
            "accepted": len(fresh),
            "duplicates": known,
            "next_seq": first + table.num_rows,
            "min_interval": self.min_interval,
        }

    def finish(self, run_id: str, how: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer to the end of a run."""
        if run_id not in self.runs:
            return 404, {"status": 404, "detail": f"no run {run_id}"}
        self.finished[run_id] = how
        return 200, _as_run(self.runs[run_id] | {"state": how["state"]})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in tuple(self._open):
            connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up in these tests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    collector: FaultyCollector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix(wire.PREFIX).strip("/").split("/")
        collector = self.collector
        with collector.changed:
            collector.requests.append(("POST", self.path, dict(self.headers)))
            collector.changed.notify_all()
            fault = collector.always or Fault()
            if collector.always is None and path[-1] == "rows" and collector.faults:
                fault = collector.faults.popleft()
        if fault.hold is not None:
            fault.hold.wait(30)
        if fault.status is not None:
            self._answer(fault.status, fault.body, fault.headers)
            return
        with collector.changed:
            if path == ["runs"]:
                status, answer = collector.register(json.loads(body))
            elif path[-1] == "rows":
                status, answer = collector.ingest(path[1], body)
            elif path[-1] == "heartbeat":
                status, answer = 204, None
            else:
                status, answer = collector.finish(path[1], json.loads(body))
            collector.changed.notify_all()
        if fault.lose:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(status, json.dumps(answer).encode() if answer is not None else b"", {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


def _as_run(new: dict[str, Any]) -> dict[str, Any]:
    known = {
        "group": "",
        "tags": [],
        "config": {},
        "notes": "",
        "environment": {},
        "state": "running",
        "attempt": 1,
        "created": time.time(),
        "updated": None,
        "finished": None,
        "archived": False,
        "last_step": None,
        "summary": {},
        "metrics": [],
    }
    return known | {key: value for key, value in new.items() if key not in {"writer", "resume"}}
