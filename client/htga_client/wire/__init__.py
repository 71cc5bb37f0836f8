"""The schema of everything that crosses the network.

Rows travel as an Arrow IPC stream with the schema `ROWS`. Resources travel as JSON: each is a
frozen dataclass, which FastAPI validates and documents. Imports nothing of ours.

Three rules hold everywhere:

* A null means "not measured". A NaN or an infinity is a value; JSON writes these as the strings
  "NaN", "Infinity" and "-Infinity", so that none of them is mistaken for zero or for nothing.
* `layer` is a parameter's name as in `named_parameters()`; the empty string is the whole model.
* `time` is in seconds since the Unix epoch, `step` counts optimizer steps from 0.
"""

from __future__ import annotations

from htga_client.wire.events import Alert, Alerts, Event, Level, RunEvent, RunEvents
from htga_client.wire.readings import (
    LEFT_OUT,
    Axis,
    Buckets,
    GroupBuckets,
    GroupedSeries,
    GroupSeries,
    Histograms,
    LayerMap,
    Query,
    Series,
    Tail,
    TailFit,
    TailSeries,
)
from htga_client.wire.rows import (
    ARROW_STREAM,
    ATTEMPT_OF,
    FIRST_SEQ,
    GAPS,
    ROWS,
    SCALARS,
    WRITER,
    Estimator,
    JsonRow,
    JsonRows,
    LeftOut,
    Receipt,
    Rejection,
    Scope,
)
from htga_client.wire.rules import Firing, Firings, NewRule, Rule, RuleKind, Rules, Trial
from htga_client.wire.runs import (
    Archive,
    ArchivedIds,
    ArchiveFaults,
    Finish,
    Gap,
    Layer,
    NewRun,
    RegisteredRun,
    Resume,
    Run,
    RunPage,
    RunPatch,
    RunState,
)
from htga_client.wire.shared import JSON_FLOATS, PREFIX, ROOT_PATH, TOKEN_COOKIE
from htga_client.wire.status import Problem, Quantiles, Status, Token, Tokens, TokenScope

__all__ = [
    "ARROW_STREAM",
    "ATTEMPT_OF",
    "FIRST_SEQ",
    "GAPS",
    "JSON_FLOATS",
    "LEFT_OUT",
    "PREFIX",
    "ROOT_PATH",
    "ROWS",
    "SCALARS",
    "TOKEN_COOKIE",
    "WRITER",
    "Alert",
    "Alerts",
    "Archive",
    "ArchiveFaults",
    "ArchivedIds",
    "Axis",
    "Buckets",
    "Estimator",
    "Event",
    "Finish",
    "Firing",
    "Firings",
    "Gap",
    "GroupBuckets",
    "GroupSeries",
    "GroupedSeries",
    "Histograms",
    "JsonRow",
    "JsonRows",
    "Layer",
    "LayerMap",
    "LeftOut",
    "Level",
    "NewRule",
    "NewRun",
    "Problem",
    "Quantiles",
    "Query",
    "Receipt",
    "RegisteredRun",
    "Rejection",
    "Resume",
    "Rule",
    "RuleKind",
    "Rules",
    "Run",
    "RunEvent",
    "RunEvents",
    "RunPage",
    "RunPatch",
    "RunState",
    "Scope",
    "Series",
    "Status",
    "Tail",
    "TailFit",
    "TailSeries",
    "Token",
    "TokenScope",
    "Tokens",
    "Trial",
]
