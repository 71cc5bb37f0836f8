"""The one line that a training script adds."""

from __future__ import annotations

import operator
import os
import uuid
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from htga.telemetry.environment import describe, project_name
from htga.telemetry.probe import SAMPLE, Probe
from htga.telemetry.run import Run
from htga_client import wire
from htga_client.codec import plain
from htga_client.connection import DEFAULT_URL
from htga_client.names import random_name, uuid7
from htga_client.notices import say
from htga_client.sender import Sender
from htga_client.transport import HttpTransport

MODES = ("online", "disabled")


def attach(
    optimizer: Optimizer,
    *,
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] | None = None,
    notes: str | None = None,
    config: object = None,
    run_id: str | None = None,
    mode: str | None = None,
    model: nn.Module | None = None,
    every: int | None = None,
    histograms: bool = True,
    sample: int | None = None,
) -> Run:
    """Measure every step of an optimizer and send it to a collector.

    Training never waits for the collector, which may even start later, and goes on whatever
    happens to it. The run ends with `Run.finish`, with a `with` block, or with the process.

    What is left out is taken from the environment variable given below, then from the default.

    Args:
        optimizer: Any torch optimizer; HTGA's controller is shown, too.
        url: Base address of the collector (HTGA_URL; http://127.0.0.1:8642).
        token: Bearer token that may ingest (HTGA_TOKEN; none).
        project: What the run belongs to (HTGA_PROJECT; the name of the git repository's folder, or
            else of the current folder).
        name: A label for people (HTGA_NAME; a random one).
        group: Runs to be averaged together share a group (HTGA_GROUP; none).
        tags: Labels to filter by (HTGA_TAGS, separated by commas; none).
        notes: Free text (HTGA_NOTES; none).
        config: Hyper-parameters: a mapping, a dataclass or an `argparse.Namespace`. What JSON
            cannot say is stored as its `repr`.
        run_id: UUID of the run (HTGA_RUN_ID; a new one). That of an existing run continues it.
        mode: "online", or "disabled" to do nothing at all (HTGA_MODE; "online").
        model: The model, to be described beside the run.
        every: Measure every so many steps (HTGA_EVERY; 1).
        histograms: Whether to send the histogram of |gradient| with each step.
        sample: On a CPU, how many entries of the gradient to look at in a step, 0 for all of them
            (HTGA_SAMPLE; 65,536). `n` says how many it was; the norm and the count of non-finite
            entries are always those of all. HTGA measures its own gradients whole.

    Raises:
        TypeError: `optimizer` is no torch optimizer, or `config` none of its types.
        ValueError: `url`, `token`, `run_id`, `mode`, `every` or `sample` cannot be used.
    """
    mode = _setting(mode, "MODE", "online")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
    if mode == "disabled":
        return Run(run_id or str(uuid7()), url="")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r:.100}")
    every = _integer("every", _setting(every, "EVERY", 1), at_least=1)
    sample = _integer("sample", _setting(sample, "SAMPLE", SAMPLE), at_least=0)
    transport = HttpTransport(
        _setting(url, "URL", DEFAULT_URL), _setting(token, "TOKEN", "") or None
    )
    new_run = wire.NewRun(
        id=_run_id(_setting(run_id, "RUN_ID", "")),
        project=_setting(project, "PROJECT", "") or project_name(Path.cwd()),
        name=_setting(name, "NAME", "") or random_name(),
        group=_setting(group, "GROUP", ""),
        tags=_tags(_setting(tags, "TAGS", ())),
        notes=_setting(notes, "NOTES", ""),
        config=_config(config),
        environment=describe(optimizer, model),
    )
    sender = Sender(transport, new_run)
    probe = Probe(optimizer, sender.put, every=every, histograms=histograms, sample=sample or None)
    run = Run(new_run.id, url=f"{transport.url}/run/{new_run.id}", sender=sender, probe=probe)
    say(f"run {new_run.name} of {new_run.project}: {run.url}")
    sender.start()
    return run


def _setting(argument: Any, variable: str, default: Any) -> Any:
    if argument is not None:
        return argument
    return os.environ.get(f"HTGA_{variable}") or default


def _run_id(text: str) -> str:
    try:
        return str(uuid.UUID(text) if text else uuid7())
    except (ValueError, AttributeError):
        raise ValueError(
            f"run_id must be a UUID, got {text!r}; leave it out for a new run, and use name for a "
            "label"
        ) from None


def _integer(name: str, value: int | str, *, at_least: int) -> int:
    try:
        number = int(value) if isinstance(value, str) else operator.index(value)
    except (ValueError, TypeError):
        number = at_least - 1
    if number < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}")
    return number


def _tags(tags: str | Sequence[str]) -> tuple[str, ...]:
    parts = tags.split(",") if isinstance(tags, str) else tags
    return tuple(tag.strip() for tag in parts if tag.strip())


def _config(config: object) -> dict[str, Any]:
    if isinstance(config, Namespace):
        config = vars(config)
    if config is None:
        return {}
    if isinstance(config, Mapping) or (is_dataclass(config) and not isinstance(config, type)):
        result: dict[str, Any] = plain(config)
        return result
    raise TypeError(
        f"config must be a mapping, a dataclass or an argparse.Namespace, got {config!r:.100}"
    )
