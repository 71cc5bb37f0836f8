"""One step's amplification: look at the samples, let the controller move, reweight in place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from htga.optim.controller.controller import Memory, Seen, advance, refined_beta, start
from htga.optim.controller.outcome import SIZE_TOLERANCE, Outcome
from htga.optim.settings import PRESETS, Settings
from htga.optim.weights.exact import reweight_exactly
from htga.optim.weights.flat_parameter import part_of
from htga.optim.weights.rank_weights import RankWeights, n_exact
from htga.optim.weights.reweight import reweight
from htga.optim.weights.samples import Sample, host_decides, sample_of
from htga.tail import TailEstimate, TailState, TailStatus
from htga.tail.estimators.hill import hill_of
from htga.tail.estimators.moment import moment_of
from htga.tail.histogram.counting import uses_triton
from htga.tail.histogram.sketch import Sketch
from htga.tail.norm import sum_of_squares
from htga.tail.order_statistics import OrderStatistics
from htga.tail.triton.available import triton_works


@dataclass(frozen=True, slots=True)
class _Look:
    """A sample, what one look at it found, and the sum of its squares."""

    sample: Sample
    sketch: Sketch
    top: OrderStatistics
    estimate: TailEstimate
    squares: Tensor


@dataclass(frozen=True, slots=True)
class _Change:
    """A sample after reweighting.

    Attributes:
        squares: Sum of the squares of what was written, float64, 0-d.
        top: The tail after.
        missing: The factor that the sample still needs to have its size, float64, 0-d; 1 where it
            is as good as there.
    """

    squares: Tensor
    top: OrderStatistics
    missing: Tensor


def amplify_samples(
    samples: dict[int, Sample], memory: Memory, settings: Settings, *, masks: bool
) -> Outcome:
    """Amplify the entries of every sample in place.

    On a CPU nothing is written if an entry is not finite. Elsewhere the host does not wait to learn
    of it.

    Args:
        samples: By their place in the memory; at least one.
        memory: Of these samples and of those that have no entries in this step.
        settings: Of the optimizer.
        masks: Whether, elsewhere, all entries become zero if one is not finite.
    """
    device, hosted = memory.gamma.device, host_decides(samples.values())
    if not hosted and settings.ranks == "fast" and done_by_triton(samples, device):
        from htga.optim.triton_amplify import amplify_by_triton  # noqa: PLC0415 (maybe absent)

        return amplify_by_triton(samples, memory, settings, masks=masks)
    looks = {i: _look(sample, settings) for i, sample in samples.items()}
    memory = advance(memory, _seen(looks, memory), settings)
    exchanges = settings.controls_beta and settings.estimator == "hill"
    if exchanges and not (hosted and bool((memory.beta >= 0).all())):
        memory = _refined(memory, looks, settings)
    bad = torch.stack([look.top.n_nonfinite.to(device) > 0 for look in looks.values()]).any()
    stays = settings.changes_nothing or (hosted and bool(bad))

    changes = {}
    for i, look in looks.items():
        beta, gamma = (x.reshape(-1)[i].to(look.sample.device) for x in (memory.beta, memory.gamma))
        if stays or (hosted and beta == 0 and gamma == 1):
            changes[i] = _Change(look.squares, look.top, torch.ones_like(beta))
        elif settings.ranks == "exact":
            changes[i] = _by_sorting(look, beta, gamma, settings)
        else:
            changes[i] = _by_table(look, beta, gamma, settings)
        # Weights can overflow half precision; squares alone can overflow where nothing else does.
        overflows = look.squares.isfinite() & ~changes[i].squares.isfinite()
        bad = bad | overflows.to(device)
    if not stays or (masks and not hosted):
        for i, look in looks.items():
            _finish(look.sample, changes[i].missing, bad, hosted=hosted)
    memory = replace(memory, skipped=memory.skipped + bad)
    tails = {i: _state(look, changes[i], _at(memory, i), settings) for i, look in looks.items()}
    return Outcome(memory, tails, bad, hosted)


def done_by_triton(samples: dict[int, Sample], device: torch.device) -> bool:
    """Whether Triton kernels can do it: all samples are kept where the memory is."""
    there = all(sample.device == device for sample in samples.values())
    return there and uses_triton(device) and triton_works("amplify", _amplify_one, device)


def _amplify_one(device: torch.device) -> None:
    from htga.optim.triton_amplify import amplify_by_triton  # noqa: PLC0415 (maybe absent)

    sample = sample_of([part_of(torch.ones(1, device=device))], "global")
    settings = PRESETS["stable"]
    amplify_by_triton({0: sample}, start(settings, device), settings, masks=True)


def _look(sample: Sample, settings: Settings) -> _Look:
    sketch = sample.sketch(n_exact(sample.d, settings.k))
    top = sketch.order_statistics(settings.k)
    estimate = hill_of(top) if settings.estimator == "hill" else moment_of(top)
    squares = sketch.squares if sample.squares is None else sample.squares
    return _Look(sample, sketch, top, estimate, squares)


def _seen(looks: dict[int, _Look], memory: Memory) -> Seen:
    """The estimates in the shape of the memory; a sample without entries has too few."""
    shape, count = memory.gamma.shape, memory.gamma.numel()
    alpha_hat = memory.gamma.new_full((count,), torch.nan)
    k = memory.skipped.new_ones(count)
    status = memory.gamma.new_full((count,), TailStatus.TOO_FEW, dtype=torch.int8)
    for i, look in looks.items():
        alpha_hat[i] = look.estimate.alpha
        k[i] = look.estimate.k
        status[i] = look.estimate.status
    return Seen(
        alpha_hat=alpha_hat.reshape(shape), k=k.reshape(shape), status=status.reshape(shape)
    )


def _refined(memory: Memory, looks: dict[int, _Look], settings: Settings) -> Memory:
    """The memory with exponents that allow for the entries they exchange."""
    beta = memory.beta.reshape(-1).clone()
    for i, look in looks.items():
        usable = look.estimate.status == TailStatus.OK
        before = beta[i].to(look.sample.device)
        after = refined_beta(before, look.top, settings.target_alpha, settings.beta_bounds)
        beta[i] = after.where(usable, before)
    return replace(memory, beta=beta.reshape(memory.beta.shape))


def _by_table(look: _Look, beta: Tensor, gamma: Tensor, settings: Settings) -> _Change:
    """Reweight in one pass."""
    sample, sketch = look.sample, look.sketch
    weights = RankWeights.of(
        sketch, d=sample.d, beta=beta, w_max=settings.w_max, share=settings.max_coord_share
    )
    weights = weights.normalized(sketch, settings.normalize).scaled(gamma)
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
    missing = missing.where(off, 1)
    return _Change(squares * missing.square(), _again(look.top, weights.amplified), missing)


def _by_sorting(look: _Look, beta: Tensor, gamma: Tensor, settings: Settings) -> _Change:
    """Reweight by sorted ranks."""
    reweight_exactly(look.sample, beta, gamma, settings)
    sketch = look.sample.sketch(look.sketch.largest.numel())
    squares = look.sample.total(lambda bucket: sum_of_squares(bucket.entries))
    return _Change(squares, _again(look.top, sketch.largest), torch.ones_like(beta))


def _again(top: OrderStatistics, largest: Tensor) -> OrderStatistics:
    """The tail of the same size, of other magnitudes."""
    return OrderStatistics.of(
        largest, k=top.k, n=top.n, n_zero=top.n_zero, n_nonfinite=top.n_nonfinite
    )


def _finish(sample: Sample, factor: Tensor, bad: Tensor, *, hosted: bool) -> None:
    """Bring a sample to its size, or to zero, and to where it came from."""
    if not hosted:
        sample.finish(factor, unless=bad)
        return
    for bucket in sample.buckets:
        if factor != 1:
            torch._foreach_mul_(bucket.entries, float(factor))
        for part in bucket.parts:
            part.store()


def _at(memory: Memory, i: int) -> Memory:
    """The memory of one sample, not to be changed by later steps."""
    return Memory(
        alpha_bar=memory.alpha_bar.reshape(-1)[i].clone(),
        gamma=memory.gamma.reshape(-1)[i].clone(),
        beta=memory.beta.reshape(-1)[i].clone(),
        skipped=memory.skipped.clone(),
    )


def _state(look: _Look, change: _Change, memory: Memory, settings: Settings) -> TailState:
    estimate, norm = look.estimate, look.squares.sqrt()
    return TailState(
        alpha_hat=estimate.alpha,
        alpha_bar=memory.alpha_bar,
        alpha_stderr=estimate.stderr,
        xi=moment_of(look.top).xi,
        k=estimate.k,
        n=estimate.n,
        gamma=memory.gamma,
        beta=memory.beta,
        target_alpha=torch.full_like(memory.gamma, settings.target_alpha),
        # By Hill's estimator, whatever the other one's is.
        update_alpha=(1 / change.top.m1).masked_fill(estimate.xi.isnan(), torch.nan),
        grad_norm=norm,
        norm_ratio=change.squares.sqrt() / norm,
        n_zero=estimate.n_zero,
        n_nonfinite=estimate.n_nonfinite,
        status=estimate.status,
        skipped=memory.skipped,
        histogram=look.sample.histogram or look.sketch.histogram,
    )
