"""Events of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for people to read.

    Attributes:
        kind: Kind of event; "alert" is one that the training script raised.
        level: Severity.
        title: A few words.
        text: The details; may be empty.
    """

    kind: str
    level: Level = "info"
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Event):
    """An event as the collector keeps it.

    Attributes:
        step, time, rank, layer, attempt: As in the row that carried it.
    """

    step: int
    time: float
    rank: int
    layer: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(RunEvent):
    """A warning or an error with the run that it happened in.

    Attributes:
        run_id, run_name: Id and name of the run.
    """

    run_id: str
    run_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Alerts, latest first."""

    items: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvents:
    """Events of a run in the order of steps; of more than a thousand, the latest."""

    items: tuple[RunEvent, ...]
