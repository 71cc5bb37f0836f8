"""What happened in a run, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for people to read.

    Attributes:
        kind: What sort of thing; "alert" is one that the training script said.
        level: How bad it is.
        title: It in a few words.
        text: At length; may be empty.
    """

    kind: str
    level: Level = "info"
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Event):
    """An event as the collector keeps it.

    Attributes:
        step, time, rank, layer, attempt: Of the row that brought it.
    """

    step: int
    time: float
    rank: int
    layer: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(RunEvent):
    """A warning or an error, away from its run.

    Attributes:
        run_id, run_name: Of the run that it happened in.
    """

    run_id: str
    run_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """What to be warned of, the latest first."""

    items: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvents:
    """What happened in a run, in the order of its steps; of more than a thousand, the latest."""

    items: tuple[RunEvent, ...]
