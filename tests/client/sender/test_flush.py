"""`flush` answers for the rows that its own caller put, whatever other callers wait for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from htga_client.sender.sender import Sender
from tests.support.faulty_collector import Fault, FaultyCollector
from tests.support.senders import end, open_sender, put


class TracedFlush:
    """A call of `flush` in a thread of its own that can be held between two instructions.

    Args:
        sender: The sender to flush.
        stored: Called when `flush` returns.
        hold_at: Number of the instruction of `flush`, among those that run without the sender's
            lock, before which the thread stops until `resume`.

    Attributes:
        result: What `flush` returned, and what `stored` said at that moment.
        held: Whether the thread came to that instruction.
    """

    def __init__(self, sender: Sender, stored: Callable[[], Any], hold_at: int = -1) -> None:
        self.result: tuple[bool, Any] | None = None
        self.held = False
        self._go_on = threading.Event()
        self._sender = sender
        self._changed = sender._state.changed
        self._stored = stored
        self._left = hold_at
        self._waits = 0
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def has_returned(self) -> bool:
        return self.result is not None

    def wait_until_idle(self, *, after: int = 0) -> int:
        """Wait until `flush` is held, has returned, or waits for rows more than `after` times.

        Returns:
            How many times it has waited for rows.
        """
        with self._news:
            done = lambda: self._waits > after or self.result or self.held  # noqa: E731
            assert self._news.wait_for(done, 20)
            return self._waits

    def resume(self) -> None:
        """Let the thread go on, if it is held."""
        self._tell(held=False)
        self._go_on.set()

    def check_again(self) -> None:
        """Make it check again whether its rows are stored, and wait until it has."""
        with self._changed:
            before = self._waits
            self._changed.notify_all()
        self.wait_until_idle(after=before)

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        sys.settrace(self._trace)
        done = self._sender.flush(20)
        sys.settrace(None)
        self._tell(result=(done, self._stored()))

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code is threading.Condition.wait.__code__:
            if frame.f_locals["self"] is self._changed:
                self._tell(_waits=self._waits + 1)
            return None
        if code is not Sender.flush.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self._changed._is_owned():  # type: ignore[attr-defined]
            self._left -= 1
            if self._left == 0:
                self._tell(held=True)
                self._go_on.wait(20)
        return self._trace

    def _tell(self, **news: Any) -> None:
        with self._news:
            self.__dict__.update(news)
            self._news.notify_all()


def flush_is_interrupted(sender: Sender, faulty: FaultyCollector, instruction: int) -> bool:
    """Two threads flush, one of them held at an instruction; False if it has no so many."""
    gate = threading.Event()
    faulty.faults.extend([Fault(), Fault(hold=gate)])
    row = len(faulty.rows)
    put(sender, 1, first=row)
    first = TracedFlush(sender, faulty.steps, hold_at=instruction)
    first.wait_until_idle()
    was_held = first.held
    put(sender, 1, first=row + 1)
    second = TracedFlush(sender, faulty.steps)
    second.wait_until_idle()
    first.resume()
    # The collector stores the first row and holds its answer to the second.
    assert faulty.wait(lambda: len(faulty.rows) == row + 1)
    first.wait_until_idle()
    second.check_again()
    assert not second.has_returned, f"with {second.result} after {row + 1} rows were stored"
    gate.set()
    first.join()
    second.join()
    assert first.result is not None
    assert first.result[0]
    assert second.result == (True, list(range(row + 2)))
    return was_held


def test_a_flush_never_answers_for_the_rows_of_another(faulty: FaultyCollector) -> None:
    sender = open_sender(faulty.url, None, batch_rows=1)
    instruction = 1
    while flush_is_interrupted(sender, faulty, instruction):
        instruction += 1
    assert instruction > 20
    end(sender)


def test_a_flush_after_the_end_waits_for_the_rows_put_before(faulty: FaultyCollector) -> None:
    gate = threading.Event()
    faulty.faults.append(Fault(hold=gate))
    sender = open_sender(faulty.url, None)
    put(sender, 3)
    assert not sender.finish(timeout=0.0)
    assert faulty.wait(lambda: any(path.endswith("/rows") for _, path, _ in faulty.requests))
    assert not sender.flush(0.0)
    gate.set()
    assert sender.flush(20)
    assert faulty.steps() == [0, 1, 2]
    end(sender)


def test_a_flush_after_close_does_not_answer_for_rows_that_stay_on_disk(
    faulty: FaultyCollector, tmp_path: Any
) -> None:
    faulty.stop()
    sender = open_sender(faulty.url, tmp_path / "spool")
    put(sender, 3)
    assert sender._queue.mark().passed.wait(20)
    end(sender)
    assert sender.stats.queued == 3
    assert not sender.flush(0.0)
