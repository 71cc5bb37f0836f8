"""One step's amplification: look at the samples, let the controller move, reweight in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


import torch
from torch import Tensor

from htga.optim.controller import Memory, Seen, advance
from htga.optim.exact import reweight_exactly
from htga.optim.rank_weights import RankWeights
from htga.optim.reweight import multiply, reweight
from htga.optim.samples import Sample, sum_of_squares
from htga.optim.settings import Settings
from htga.tail import TailEstimate, TailState, TailStatus
from htga.tail.hill import hill_of
from htga.tail.moment import moment_of
from htga.tail.order_statistics import OrderStatistics
from htga.tail.sketch import Sketch
from htga.tail.tail_size import k_for

TOP = 1024
"""How many entries have their exact rank, at least; all of the tail's have."""

SIZE_TOLERANCE = 1e-3
"""A normalised sample off its size by less is not passed over once more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an amplification.

    Attributes:
        memory: The controller's, after it.
        tails: What was seen of each sample; None of one without entries.
        bad: Whether a number is not finite, so that the step must not be taken; bool, 0-d.
    """

    memory: Memory
    tails: list[TailState | None]
    bad: Tensor


@dataclass(frozen=True, slots=True)
class _Look:
    """A sample and what one look at it found."""

    sample: Sample
    sketch: Sketch
    top: OrderStatistics
    estimate: TailEstimate
    squares: Tensor


def amplify_samples(
    samples: Sequence[Sample | None], memory: Memory, settings: Settings, *, masks: bool
) -> Outcome:
    """Amplify the entries of every sample in place.

    On a CPU nothing is written if an entry is not finite. On other devices the host does not wait
    to learn of it.

    Args:
        samples: As `split` orders them, None for one without entries; not all None.
        memory: Of as many samples.
        settings: Of the optimizer.
        masks: Whether, not on a CPU, all entries become zero if one is not finite.
    """
    device = memory.gamma.device
    looks = [None if sample is None else _look(sample, settings) for sample in samples]
    present = [look for look in looks if look is not None]
    seen = _seen(looks, memory)
    memory = advance(memory, seen, settings)
    n_bad = torch.stack([look.top.n_nonfinite.to(device) for look in present]).sum()
    on_cpu = all(part.entries.is_cpu for look in present for part in look.sample.parts)
    writes = not settings.changes_nothing and not (on_cpu and bool(n_bad))

    after: dict[int, tuple[Tensor, OrderStatistics]] = {}
    corrections: list[tuple[_Look, Tensor]] = []
    for i, look in enumerate(looks):
        if look is None:
            continue
        after[i] = look.squares, look.top
        if writes:
            beta, gamma = (
                x.reshape(-1)[i].to(look.top.k.device) for x in (memory.beta, memory.gamma)
            )
            if settings.ranks == "exact":
                after[i] = _by_sorting(look, beta, gamma, settings)
                correction = torch.ones_like(beta)
            else:
                squares, top, correction = _by_table(look, beta, gamma, settings)
                after[i] = squares * correction.square(), top
            corrections.append((look, correction))
        elif masks and not on_cpu:
            corrections.append((look, torch.ones_like(look.squares)))
    # Weights can overflow half precision; squares alone can overflow where nothing else does.
    overflown = [
        (look.squares.isfinite() & ~after[i][0].isfinite()).to(device)
        for i, look in enumerate(looks)
        if look is not None
    ]
    bad = torch.stack([n_bad > 0, *overflown]).any()
    for look, correction in corrections:
        _correct(look.sample, correction, bad, on_cpu=on_cpu)
        for part in look.sample.parts:
            part.store()
    memory = replace(memory, skipped=memory.skipped + bad)
    tails = [
        None if look is None else _state(look, i, *after[i], memory, settings)
        for i, look in enumerate(looks)
    ]
    return Outcome(memory, tails, bad)


def _look(sample: Sample, settings: Settings) -> _Look:
    d = sample.d
    size = min(max(int(k_for(torch.tensor(d), settings.k)) + 2, TOP), d + 1)
    sketch = sample.sketch(size)
    top = sketch.order_statistics(settings.k)
    estimate = hill_of(top) if settings.estimator == "hill" else moment_of(top)
    squares = sketch.squares if sample.squares is None else sample.squares
    return _Look(sample, sketch, top, estimate, squares)


def _seen(looks: list[_Look | None], memory: Memory) -> Seen:
    """The estimates in the shape of the memory; a sample without entries has too few."""
    nothing = memory.gamma.new_full((), torch.nan)
    device, shape = nothing.device, memory.gamma.shape
    alphas, sizes, statuses = [], [], []
    for look in looks:
        alphas.append(nothing if look is None else look.estimate.alpha.to(device))
        sizes.append(
            nothing.new_ones((), dtype=torch.int64) if look is None else look.top.k.to(device)
        )
        too_few = nothing.new_full((), TailStatus.TOO_FEW, dtype=torch.int8)
        statuses.append(too_few if look is None else look.estimate.status.to(device))
    return Seen(
        alpha_hat=torch.stack(alphas).reshape(shape),
        k=torch.stack(sizes).reshape(shape),
        status=torch.stack(statuses).reshape(shape),
    )


def _by_table(
    look: _Look, beta: Tensor, gamma: Tensor, settings: Settings
) -> tuple[Tensor, OrderStatistics, Tensor]:
    """Reweight in one pass.

    Returns:
        The sum of squares of what was written, the tail after, and the factor that is missing for
        the sample to have its size; 1 where it is as good as there.
    """
    sample, sketch = look.sample, look.sketch
    weights = RankWeights.of(
        sketch, d=sample.d, beta=beta, w_max=settings.w_max, share=settings.max_coord_share
    )
    weights = weights.normalized(sketch, settings.normalize)
    weights = weights.scaled(gamma)
    squares, total = sample.total(
        lambda bucket: reweight(bucket.entries, weights.to(bucket.device), bucket.scales)
    ).unbind()
    missing = torch.ones_like(squares)
    if settings.normalize == "l2":
        missing = gamma * (look.squares / squares).sqrt()
    elif settings.normalize == "mean_one":
        of_zeros = look.top.n_zero * weights.level[0].double()
        missing = gamma * look.top.n / (total - of_zeros)
    off = (missing.log().abs() > SIZE_TOLERANCE) & missing.isfinite()
    return squares, _reordered(look.top, weights.amplified), missing.where(off, 1)


def _by_sorting(
    look: _Look, beta: Tensor, gamma: Tensor, settings: Settings
) -> tuple[Tensor, OrderStatistics]:
    """Reweight by sorted ranks; returns the sum of squares of what was written and its tail."""
    reweight_exactly(look.sample, beta, gamma, settings)
    sketch = look.sample.sketch(look.sketch.largest.numel())
    squares = look.sample.total(lambda bucket: sum_of_squares(bucket.entries))
    return squares, _reordered(look.top, sketch.largest)


def _reordered(top: OrderStatistics, largest: Tensor) -> OrderStatistics:
    return OrderStatistics.of(
        largest, k=top.k, n=top.n, n_zero=top.n_zero, n_nonfinite=top.n_nonfinite
    )


def _correct(sample: Sample, factor: Tensor, bad: Tensor, *, on_cpu: bool) -> None:
    for bucket in sample.buckets:
        if not on_cpu:
            device = bucket.device
            multiply(bucket.entries, factor.to(device), unless=bad.to(device))
        elif factor != 1:
            torch._foreach_mul_(bucket.entries, float(factor))  # noqa: SLF001 (torch has no other name)


def _state(
    look: _Look,
    i: int,
    squares: Tensor,
    top: OrderStatistics,
    memory: Memory,
    settings: Settings,
) -> TailState:
    alpha_bar, gamma, beta = (
        x.reshape(-1)[i].clone() for x in (memory.alpha_bar, memory.gamma, memory.beta)
    )
    estimate, sketch = look.estimate, look.sketch
    grad_norm = look.squares.sqrt()
    return TailState(
        alpha_hat=estimate.alpha,
        alpha_bar=alpha_bar,
        alpha_stderr=estimate.stderr,
        xi=moment_of(look.top).xi,
        k=estimate.k,
        n=estimate.n,
        gamma=gamma,
        beta=beta,
        target_alpha=torch.full_like(gamma, settings.target_alpha),
        update_alpha=hill_of(top).alpha,
        grad_norm=grad_norm,
        norm_ratio=squares.sqrt() / grad_norm,
        n_zero=estimate.n_zero,
        n_nonfinite=estimate.n_nonfinite,
        status=estimate.status,
        skipped=memory.skipped.clone(),
        histogram=sketch.histogram,
    )
