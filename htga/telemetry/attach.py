"""`attach`, the one line that a training script adds."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from inspect import getattr_static
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from htga.telemetry.closures.measurements import ClosureMeasurements, NoiseSchedule
from htga.telemetry.environment import describe, project_name
from htga.telemetry.guard import Guard
from htga.telemetry.notebook.card import Card, in_notebook
from htga.telemetry.probe import Probe
from htga.telemetry.ranks import FirstRanksRun, Ranks, RunIdentity, agreed, is_sharded
from htga.telemetry.run import Run, StepCounter
from htga.telemetry.settings import MODES, Options, checked_run_id, choice, setting
from htga.telemetry.spectra.spectra import Spectra
from htga_client import wire
from htga_client.console import notify
from htga_client.errors import ClientError, Refused
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import random_name, uuid7
from htga_client.sender.sender import Sender
from htga_client.wire.row_encoder import Row
from htga_client.wire.text import shown

RESUME_REFUSALS = frozenset({404, 409})
_attached: weakref.WeakKeyDictionary[Optimizer, Run] = weakref.WeakKeyDictionary()
_parts: weakref.WeakKeyDictionary[Run, int] = weakref.WeakKeyDictionary()  # optimizers that joined


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
    resume: str | None = None,
    ranks: str | None = None,
    step: int | None = None,
    mode: str | None = None,
    dir: str | Path | None = None,  # noqa: A002  the name in other trackers
    model: nn.Module | None = None,
    every: int | None = None,
    budget: float | None = None,
    layers: str | Sequence[str] | None = None,
    layers_every: int | None = None,
    layers_top: int | None = None,
    histograms: bool | None = None,
    sample: int | None = None,
    updates_every: int | None = None,
    tails: str | Sequence[str] | None = None,
    noise: Callable[[], Any] | None = None,
    noise_every: int | None = None,
    noise_batches: int | None = None,
    noise_batch_size: int | None = None,
    spectra_every: int | None = None,
) -> Run:
    """Measure every step of an optimizer and send it to a collector.

    Training never waits for the collector, which may even start later, and goes on whatever happens
    to it. The run ends with `Run.finish`, with a `with` block, or with the process. It also ends
    when both it and the optimizer are garbage, and when the optimizer is attached again, for
    instance by a notebook cell that runs once more.

    An argument that is left out is taken from the environment variable in parentheses, or else is
    the default.

    Args:
        optimizer: Any torch optimizer; HTGA's controller is recorded, too.
        url: Base address of the collector (HTGA_URL; http://127.0.0.1:8642).
        token: Bearer token that may ingest (HTGA_TOKEN; none).
        project: What the run belongs to (HTGA_PROJECT; the name of the git repository's folder, or
            else of the current folder).
        name: A label for people (HTGA_NAME; a random one).
        group: Runs to be averaged together share a group (HTGA_GROUP; none).
        tags: Labels to filter by (HTGA_TAGS, separated by commas; none).
        notes: Free text (HTGA_NOTES; none).
        config: Hyper-parameters: a mapping, a dataclass, an `argparse.Namespace`, or the path of a
            YAML or JSON file (HTGA_CONFIG; none). Values that JSON cannot hold are stored as their
            `repr`.
        run_id: UUID of the run (HTGA_RUN_ID; a new one). An existing run is continued: keep
            `Run.state_dict` in the checkpoint for that. A run that goes on in this process with
            another optimizer measures this one, too, as layer "optimizer1".
        resume: "never" to refuse a run that exists, "must" to refuse one that does not, "allow"
            to accept both (HTGA_RESUME; "allow"). `attach` raises if the collector can be reached.
        ranks: With several processes, "first" records what rank 0 logs and, if each holds a part of
            the gradient, what all measure together; "all" records the rows of each under its rank
            (HTGA_RANKS; "first"). Attach on every rank, after `init_process_group`.
        step: Number of the first step (HTGA_STEP; 0). Steps that were logged before, and are
            repeated after a checkpoint, become a new attempt; charts show the latest.
        mode: "online"; "offline" to keep all on disk for `htga sync`; or "disabled" to do nothing
            at all (HTGA_MODE; "online").
        dir: Folder for rows that the collector has not stored yet (HTGA_DIR; "htga-data/spool").
        model: The model; it is described beside the run, and gives the layers their names.
        every: Measure every so many steps (HTGA_EVERY; 1).
        budget: Share of the training time that measuring may take, such as 0.01; beyond it, fewer
            steps are measured (HTGA_BUDGET; no limit).
        layers: Patterns of the names of layers to measure one by one, such as "*.weight"
            (HTGA_LAYERS, separated by commas; all if `model` is given, else none). Only those that
            have a gradient are measured. With HTGA, it is measured before amplification.
        layers_every: Measure the layers at every so many of the measured steps
            (HTGA_LAYERS_EVERY; 20).
        layers_top: Maximum number of layers; of more, the largest are measured (HTGA_LAYERS_TOP;
            50).
        histograms: Whether to send the histogram of |gradient| with each step
            (HTGA_HISTOGRAMS; true).
        sample: On a CPU, number of entries of the gradient to measure in a step, 0 for all of them
            (HTGA_SAMPLE; 65,536). `n` tells how many it was; the norm and the count of non-finite
            entries are always those of the whole gradient. HTGA measures its own gradients whole.
        updates_every: Measure what the step changes at every so many of the measured steps, and
            with the layers; 0 for never (HTGA_UPDATES_EVERY; 20). It needs memory for a copy of the
            weights while the optimizer steps.
        tails: Whose tail index to measure: "gradient", which is always measured, "update" and
            "weight", at the steps of `updates_every` (HTGA_TAILS, separated by commas;
            "gradient").
        noise: A closure that computes the loss of one minibatch, a different one at each call, as
            of `Run.measure_noise`; the noise between minibatches is measured with it after the
            first step and after every `noise_every` steps. With several processes, give it to each
            (none).
        noise_every: Number of steps from one measurement of the noise to the next
            (HTGA_NOISE_EVERY; 500).
        noise_batches: Number of minibatches of a measurement (HTGA_NOISE_BATCHES; 16). Each takes a
            forward and a backward pass.
        noise_batch_size: Number of samples in a minibatch, in which the gradient noise scale is
            counted (HTGA_NOISE_BATCH_SIZE; none, and no noise scale).
        spectra_every: Measure the tail of the eigenvalues of each layer's weights after the first
            step and after every so many, on a thread of their own; those of `layers`, or else of
            all (HTGA_SPECTRA_EVERY; never).

    Raises:
        TypeError: `optimizer` is not a torch optimizer, `config` has none of its types, or `noise`
            is no callable.
        ValueError: An argument is invalid, or `resume` forbids this run.
    """
    given = {name: value for name, value in locals().items() if name != "optimizer"}
    mode = choice("mode", setting(mode, "MODE", "online"), MODES)
    if mode == "disabled":
        return Run(run_id or str(uuid7()), url="", name=name or "")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {shown(optimizer, 100)}")
    optimizer = _innermost(optimizer)
    options = Options.checked(given)
    own = Ranks.current()
    transport = HttpTransport(options.url, options.token or None) if mode == "online" else None
    if options.every_rank:
        identity = agreed(options.run_id, options.name, own)
    else:
        identity = RunIdentity(options.run_id, options.name, str(uuid7()))
    measuring = {
        **options.measuring,
        "rank": own.rank,
        "sharded": own.world > 1 and is_sharded(optimizer),
    }
    new = wire.NewRun(
        id=checked_run_id(identity.run_id),
        project=options.project or project_name(),
        name=identity.name or random_name(),
        group=options.group,
        tags=options.tags,
        notes=options.notes,
        config=options.config,
        environment=describe(optimizer, model) | {"ranks": own.world},
        start=identity.start,
        resume=options.resume if own.rank == 0 else "allow",
        defaults=("project",) * (not options.project) + ("name",) * (not options.name),
    )
    if (former := _attached.pop(optimizer, None)) is not None:
        former.finish()
    if own.world > 1 and not options.every_rank:
        first = FirstRanksRun(own)
        if own.rank > 0:
            sharded = _probe(optimizer, None, measuring) if measuring["sharded"] else None
            probe = sharded or StepCounter(optimizer, measuring["first_step"])
            closures = _closures(optimizer, None, probe, measuring, options.noise)
            return Run(
                "",
                url="",
                name=new.name,
                probe=probe,
                rank=own.rank,
                find_id=first.find,
                closures=closures,
            )
        first.tell(new.id)
    if options.run_id and (holder := _open_run(new.id)) is not None:
        if new.resume == "never":
            raise ResumeForbidden(f"resume forbids this run_id: run {new.id} goes on here")
        return _join(holder, optimizer, measuring, options)
    asks = own.rank == 0 and (bool(options.run_id) or new.resume != "allow")
    return _start(optimizer, transport, new, options, measuring, asks=asks)


OPTIONS = tuple(name for name in inspect.signature(attach).parameters if name != "optimizer")
"""Names of the arguments that a framework's callback passes on to `attach`."""


def attach_beside(optimizer: Optimizer, **options: Any) -> Run:
    """`attach` for a framework's callback, which ends its own run and no other callback's."""
    optimizer = _innermost(optimizer)
    other = _attached.pop(optimizer, None)
    try:
        run_id = setting(options.get("run_id"), "RUN_ID", "")
        if other is not None and other.is_open and run_id and checked_run_id(run_id) == other.id:
            return other  # two callbacks of one run
        return attach(optimizer, **options)
    finally:
        if other is not None:
            _attached.setdefault(optimizer, other)


def _innermost(optimizer: Any) -> Any:
    """The optimizer itself: Accelerate's has no hooks, and steps the one that it wraps."""
    while isinstance(inner := inner_of(optimizer), Optimizer):
        optimizer = inner
    return optimizer


def _open_run(run_id: str) -> Run | None:
    """The run of this id that measures another optimizer of this process, if that one lives."""

    def find() -> Run | None:
        return next((run for run in _attached.values() if run.id == run_id and run.is_open), None)

    if find() is None:
        return None
    gc.collect()  # a notebook's cell that is run again has left the optimizer in a cycle
    return find()


def _join(holder: Run, optimizer: Optimizer, measuring: Mapping[str, Any], options: Options) -> Run:
    """Measure another optimizer of a run, as layers whose names begin with its number."""
    while holder._holder is not None:  # noqa: SLF001
        holder = holder._holder  # noqa: SLF001
    number = _parts[holder] = _parts.get(holder, 0) + 1
    part, sender = f"optimizer{number}", holder._sender  # noqa: SLF001

    def put(make: Callable[[], Sequence[Row]]) -> Any:
        return sender and sender.put(lambda: [_of_part(part, row) for row in make()])

    probe = _probe(optimizer, put, measuring)
    run = Run(
        holder.id,
        holder.url,
        name=holder.name,
        sender=sender,
        probe=probe,
        rank=measuring["rank"],
        card=holder._card,  # noqa: SLF001
        holder=holder,
        closures=_closures(optimizer, put, probe, measuring, options.noise),
        spectra=_spectra(optimizer, put, probe, measuring, options.spectra_every),
    )
    _attached[optimizer] = run
    notify(
        f"run {holder.name} measures another optimizer of this process already, so this one is "
        f"shown as layer {part}; to continue the run with this one instead, call finish() first"
    )
    return run


def _of_part(part: str, row: Row) -> Row:
    """A row of a further optimizer, under a name that no layer of the first one has."""
    layer = row.get("layer")
    metrics = {f"{part}/{name}": value for name, value in row.get("metrics", {}).items()}
    own = {"metrics": metrics} if metrics else {}
    return {**row, **own, "layer": f"{part}.{layer}" if layer else part}


def inner_of(optimizer: Optimizer) -> object:
    """What an optimizer itself, not one that it passes attributes on of, has as `optimizer`."""
    has = getattr_static(optimizer, "optimizer", None) is not None
    return getattr(optimizer, "optimizer", None) if has else None


def _start(
    optimizer: Optimizer,
    transport: HttpTransport | None,
    new: wire.NewRun,
    options: Options,
    measuring: Mapping[str, Any],
    *,
    asks: bool,
) -> Run:
    """Begin a run, or one that does nothing if telemetry itself fails.

    Raises:
        ResumeForbidden: `resume` forbids this run.
    """
    try:
        return _begin(optimizer, transport, new, options, measuring, asks=asks)
    except ResumeForbidden:
        raise
    except Exception as error:
        if not Guard("telemetry cannot start").caught(error):
            raise
        return Run(new.id, url="", name=new.name)


def _begin(
    optimizer: Optimizer,
    transport: HttpTransport | None,
    new: wire.NewRun,
    options: Options,
    measuring: Mapping[str, Any],
    *,
    asks: bool,
) -> Run:
    rank = measuring["rank"]
    page = "" if transport is None else f"{transport.url}/run/{new.id}"
    card = Card(page) if rank == 0 and in_notebook() else None
    sender = Sender(transport, new, folder=options.directory, owns_run=rank == 0, watcher=card)
    # One that exists has a name and a project of its own.
    stored = (_registered(sender) if asks else None) or sender.run
    probe = _probe(optimizer, sender.put, measuring)
    run = Run(
        new.id,
        page,
        name=stored.name,
        sender=sender,
        probe=probe,
        rank=rank,
        card=card,
        closures=_closures(optimizer, sender.put, probe, measuring, options.noise),
        spectra=_spectra(optimizer, sender.put, probe, measuring, options.spectra_every),
    )
    _attached[optimizer] = run
    # Without these nothing can be logged. At exit the sender finishes by itself.
    weakref.finalize(probe or run, sender.finish, timeout=0.0).atexit = False
    is_shown = card is not None and card.show(stored.name, stored.project)
    if rank == 0 and not is_shown:
        where = page or f"kept on disk, to be delivered by htga sync --dir {options.directory}"
        notify(f"run {stored.name} of {stored.project}: {where}")
    sender.start()
    return run


def _probe(
    optimizer: Optimizer,
    put: Callable[[Callable[[], Sequence[Row]]], Any] | None,
    measuring: Mapping[str, Any],
) -> Probe | None:
    """What measures the optimizer, or None if it cannot be measured; metrics are logged anyway."""
    with Guard("the optimizer cannot be measured"):
        return Probe(optimizer, put, **measuring)
    return None


def _closures(
    optimizer: Optimizer,
    put: Callable[[Callable[[], Sequence[Row]]], Any] | None,
    counter: Probe | StepCounter | None,
    measuring: Mapping[str, Any],
    noise: NoiseSchedule,
) -> ClosureMeasurements | None:
    """What measures the optimizer by closures, or None if it cannot be measured."""
    with Guard("the optimizer cannot be measured by closures"):
        return ClosureMeasurements(
            optimizer,
            put,
            model=measuring["model"],
            counter=counter or StepCounter(optimizer, measuring["first_step"]),
            layers=measuring["layers"],
            layers_top=measuring["layers_top"],
            rank=measuring["rank"],
            sharded=measuring["sharded"],
            noise=noise,
        )
    return None


def _spectra(
    optimizer: Optimizer,
    put: Callable[[Callable[[], Sequence[Row]]], Any],
    counter: Probe | StepCounter | None,
    measuring: Mapping[str, Any],
    every: int | None,
) -> Spectra | None:
    """What measures the spectra of the weights, or None if nothing does."""
    with Guard("the spectra of the weights cannot be measured"):
        if every is not None:
            return Spectra(
                optimizer,
                put,
                counter=counter or StepCounter(optimizer, measuring["first_step"]),
                every=every,
                model=measuring["model"],
                layers=measuring["layers"] or ("*",),
                layers_top=measuring["layers_top"],
                rank=measuring["rank"],
            )
    return None


class ResumeForbidden(ValueError):
    """The collector has the run although `resume` is "never", or lacks it although it is "must"."""


def _registered(sender: Sender) -> wire.Run | None:
    """The run as the collector has it, or None if it does not say.

    Raises:
        ResumeForbidden: `resume` forbids this run.
    """
    try:
        return sender.register()
    except Refused as error:
        if error.status not in RESUME_REFUSALS or sender.run.resume == "allow":
            return None  # it is about something else, and the sender's thread sees to it
        sender.close()
        raise ResumeForbidden(f"resume forbids this run_id: {error.detail}") from error
    except ClientError:
        return None  # the sender's thread tries again, beside the training
