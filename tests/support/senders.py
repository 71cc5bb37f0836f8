"""Senders of numbered rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from htga_client import wire
from htga_client.http.backoff import Backoff
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.sender import Sender


def open_sender(url: str, folder: Path | None, token: str | None = None, **options: Any) -> Sender:
    """A sender of a new run, with short pauses."""
    options.setdefault("linger", 0.005)
    options.setdefault("backoff", Backoff(first=0.005, cap=0.02))
    run = wire.NewRun(id=str(uuid7()), project="p", name="n")
    return Sender(HttpTransport(url, token), run, folder=folder, **options)


def put(sender: Sender, count: int, *, first: int = 0) -> None:
    """Put rows whose step is their number."""
    for step in range(first, first + count):
        assert sender.put({"step": step, "time": 1.0, "metrics": {"x": float(step)}})


def end(sender: Sender) -> None:
    """Close the sender, and wait for its threads."""
    sender.close()
    assert sender.join(30)
