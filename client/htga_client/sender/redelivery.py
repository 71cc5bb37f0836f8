"""Dead letters on disk, and another try to deliver them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from htga_client import wire
from htga_client.errors import NotAnAcknowledgement, Refused
from htga_client.http.retry import Retrier
from htga_client.http.transport import HttpTransport
from htga_client.sender.dead_letters import REASON, RUN, write_letter
from htga_client.spool.directory import DEAD_LETTERS
from htga_client.wire.clean_run import clean_run
from htga_client.wire.row_encoder import resent_stream

_WRITER_LENGTH = 36


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A file of rows that the collector refused.

    Attributes:
        path: The file.
        run_id: The run that the rows belong to.
        written: When the file was written, in seconds since the epoch.
        table: The rows; empty if the file cannot be read.
        reason: Why the collector refused them, or why the file cannot be read.
    """

    path: Path
    run_id: str
    written: float
    table: pa.Table
    reason: str

    @property
    def run(self) -> wire.NewRun | None:
        """The run as it was registered; None in files of older clients."""
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            run, _ = clean_run(json.loads((self.table.schema.metadata or {})[RUN]))
            return dataclasses.replace(run, writer=None, resume=None)
        return None


def dead_letters(root: Path) -> Iterator[DeadLetter]:
    """The dead letters of a spool, by run and then by writer and number of the first row.

    Args:
        root: Folder of the whole spool.
    """
    for path in sorted((root / DEAD_LETTERS).glob("*/*.arrow")):
        with contextlib.suppress(FileNotFoundError):  # another process has sent it
            written = path.stat().st_mtime
            try:
                with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                    table = stream.read_all()
                reason = (table.schema.metadata or {}).get(REASON, b"").decode(errors="replace")
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                table, reason = pa.table({}), f"the file cannot be read: {error}"
            yield DeadLetter(path, path.parent.name, written, table, reason)


def resend(letter: DeadLetter, transport: HttpTransport, retrier: Retrier) -> DeadLetter | None:
    """Send the rows of a dead letter again; doing so twice stores them once.

    Rows that the collector takes leave the file, and the file goes with the last of them.

    Returns:
        What stays, with the reasons of this time; None if nothing does.
    """
    if not letter.table.num_rows:
        return letter
    left = _send(letter, letter.table, transport, retrier)
    if not left:
        letter.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other letters of the run are in it
            letter.path.parent.rmdir()
        return None
    table = pa.concat_tables([rows for rows, _ in left])
    reason = "; ".join(dict.fromkeys(why for _, why in left))
    if (table.num_rows, reason) != (letter.table.num_rows, letter.reason):
        with contextlib.suppress(OSError):
            write_letter(letter.path, table, reason)
    return dataclasses.replace(letter, table=table, reason=reason)


def _send(
    letter: DeadLetter, table: pa.Table, transport: HttpTransport, retrier: Retrier
) -> list[tuple[pa.Table, str]]:
    """Send rows; returns those that are refused again, and why."""
    body = resent_stream(table, attempt_of=letter.path.name[:_WRITER_LENGTH])
    try:
        receipt = retrier.call(lambda: _receipt(letter, body, table.num_rows, transport))
    except Refused as error:
        if error.status == 413 and table.num_rows > 1:
            middle = table.num_rows // 2
            halves = (table.slice(0, middle), table.slice(middle))
            return [part for half in halves for part in _send(letter, half, transport, retrier)]
        return [(table, error.detail)]
    return [(table.slice(one.row, 1), one.reason) for one in receipt.rejected]


def _receipt(letter: DeadLetter, body: bytes, rows: int, transport: HttpTransport) -> wire.Receipt:
    try:
        receipt = transport.send(letter.run_id, body)
    except Refused as error:
        run = letter.run
        if error.status != 404 or run is None:
            raise
        transport.register(run)
        receipt = transport.send(letter.run_id, body)
    if receipt.accepted + len(receipt.rejected) != rows:
        raise NotAnAcknowledgement(f"{transport.url} answered for other rows than these {rows}")
    return receipt
