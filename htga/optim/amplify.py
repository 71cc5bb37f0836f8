"""Amplification of one step: measure the samples, update the controller, reweight in place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from htga.optim.controller.amplified import SIZE_TOLERANCE, Amplified
from htga.optim.controller.controller import (
    ControllerState,
    Observation,
    advance,
    refined_beta,
    start,
)
from htga.optim.settings import PRESETS, Settings
from htga.optim.weights.exact import reweight_exactly
from htga.optim.weights.flat_parameter import flat_parameter
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
class _Scan:
    """A sample, what one pass over it found, and the sum of its squares."""

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
        missing: The factor that the sample still needs to reach its size, float64, 0-d; 1 if it is
            close enough.
    """

    squares: Tensor
    top: OrderStatistics
    missing: Tensor


def amplify_samples(
    samples: dict[int, Sample], controller: ControllerState, settings: Settings, *, masks: bool
) -> Amplified:
    """Amplify the entries of every sample in place.

    On a CPU nothing is written if an entry is not finite. On other devices the host does not wait
    to find out.

    Args:
        samples: By their index in the controller's state; at least one.
        controller: State of these samples, and of those that have no entries in this step.
        settings: The optimizer's.
        masks: Whether, on other devices, all entries become zero if one is not finite.
    """
    device, hosted = controller.gamma.device, host_decides(samples.values())
    if not hosted and settings.ranks == "fast" and done_by_triton(samples, device):
        from htga.optim.triton_amplify import amplify_by_triton  # noqa: PLC0415 (maybe absent)

        return amplify_by_triton(samples, controller, settings, masks=masks)
    scans = {i: _scan(sample, settings) for i, sample in samples.items()}
    controller = advance(controller, _seen(scans, controller), settings)
    exchanges = settings.controls_beta and settings.estimator == "hill"
    if exchanges and not (hosted and bool((controller.beta >= 0).all())):
        controller = _refined(controller, scans, settings)
    bad = torch.stack([scan.top.n_nonfinite.to(device) > 0 for scan in scans.values()]).any()
    stays = settings.changes_nothing or (hosted and bool(bad))

    changes = {}
    for i, scan in scans.items():
        beta, gamma = (
            x.reshape(-1)[i].to(scan.sample.device) for x in (controller.beta, controller.gamma)
        )
        if stays or (hosted and beta == 0 and gamma == 1):
            changes[i] = _Change(scan.squares, scan.top, torch.ones_like(beta))
        elif settings.ranks == "exact":
            changes[i] = _by_sorting(scan, beta, gamma, settings)
        else:
            changes[i] = _by_table(scan, beta, gamma, settings)
        # Weights can overflow half precision; squares alone can overflow where nothing else does.
        overflows = scan.squares.isfinite() & ~changes[i].squares.isfinite()
        bad = bad | overflows.to(device)
    if not stays or (masks and not hosted):
        for i, scan in scans.items():
            _finish(scan.sample, changes[i].missing, bad, hosted=hosted)
    controller = replace(controller, skipped=controller.skipped + bad)
    tails = {i: _state(scan, changes[i], _at(controller, i), settings) for i, scan in scans.items()}
    return Amplified(controller, tails, bad, hosted)


def done_by_triton(samples: dict[int, Sample], device: torch.device) -> bool:
    """Whether Triton kernels can do it: all samples lie on the controller's device."""
    there = all(sample.device == device for sample in samples.values())
    return there and uses_triton(device) and triton_works("amplify", _amplify_one, device)


def _amplify_one(device: torch.device) -> None:
    from htga.optim.triton_amplify import amplify_by_triton  # noqa: PLC0415 (maybe absent)

    sample = sample_of(
        [flat_parameter(torch.ones(1, dtype=torch.float32, device=device))], "global"
    )
    settings = PRESETS["amplify"]
    amplify_by_triton({0: sample}, start(settings, device), settings, masks=True)


def _scan(sample: Sample, settings: Settings) -> _Scan:
    sketch = sample.sketch(n_exact(sample.d, settings.k))
    top = sketch.order_statistics(settings.k)
    estimate = hill_of(top) if settings.estimator == "hill" else moment_of(top)
    squares = sketch.squares if sample.squares is None else sample.squares
    return _Scan(sample, sketch, top, estimate, squares)


def _seen(scans: dict[int, _Scan], controller: ControllerState) -> Observation:
    """The estimates in the shape of the controller's state; a sample without entries is TOO_FEW."""
    shape, count = controller.gamma.shape, controller.gamma.numel()
    alpha_hat = controller.gamma.new_full((count,), torch.nan)
    k = controller.skipped.new_ones(count)
    status = controller.gamma.new_full((count,), TailStatus.TOO_FEW, dtype=torch.int8)
    for i, scan in scans.items():
        alpha_hat[i] = scan.estimate.alpha
        k[i] = scan.estimate.k
        status[i] = scan.estimate.status
    return Observation(
        alpha_hat=alpha_hat.reshape(shape), k=k.reshape(shape), status=status.reshape(shape)
    )


def _refined(
    controller: ControllerState, scans: dict[int, _Scan], settings: Settings
) -> ControllerState:
    """The state with exponents corrected for the entries that they exchange."""
    beta = controller.beta.reshape(-1).clone()
    for i, scan in scans.items():
        usable = scan.estimate.status == TailStatus.OK
        before = beta[i].to(scan.sample.device)
        after = refined_beta(before, scan.top, settings.target_alpha, settings.beta_bounds)
        beta[i] = after.where(usable, before)
    return replace(controller, beta=beta.reshape(controller.beta.shape))


def _by_table(scan: _Scan, beta: Tensor, gamma: Tensor, settings: Settings) -> _Change:
    """Reweight in one pass."""
    sample, sketch = scan.sample, scan.sketch
    weights = RankWeights.of(
        sketch, d=sample.d, beta=beta, w_max=settings.w_max, share=settings.max_coord_share
    )
    weights = weights.normalized(sketch, settings.normalize).scaled(gamma)
    squares, total = sample.total(
        lambda bucket: reweight(bucket.entries, weights.to(bucket.device), bucket.scales)
    ).unbind()
    missing = torch.ones_like(squares)
    if settings.normalize == "l2":
        missing = gamma * (scan.squares / squares).sqrt()
    elif settings.normalize == "mean_one":
        of_zeros = scan.top.n_zero * weights.level[0].double()
        missing = gamma * scan.top.n / (total - of_zeros)
    off = (missing.log().abs() > SIZE_TOLERANCE) & missing.isfinite()
    missing = missing.where(off, 1)
    return _Change(squares * missing.square(), _tail_of(scan.top, weights.amplified), missing)


def _by_sorting(scan: _Scan, beta: Tensor, gamma: Tensor, settings: Settings) -> _Change:
    """Reweight by sorted ranks."""
    reweight_exactly(scan.sample, beta, gamma, settings)
    sketch = scan.sample.sketch(scan.sketch.largest.numel())
    squares = scan.sample.total(lambda bucket: sum_of_squares(bucket.entries))
    return _Change(squares, _tail_of(scan.top, sketch.largest), torch.ones_like(beta))


def _tail_of(top: OrderStatistics, largest: Tensor) -> OrderStatistics:
    """The tail of the same size among other magnitudes."""
    return OrderStatistics.of(
        largest, k=top.k, n=top.n, n_zero=top.n_zero, n_nonfinite=top.n_nonfinite
    )


def _finish(sample: Sample, factor: Tensor, bad: Tensor, *, hosted: bool) -> None:
    """Scale a sample by `factor`, or to zero, and write it back to where it came from."""
    if not hosted:
        sample.finish(factor, unless=bad)
        return
    for bucket in sample.buckets:
        if factor != 1:
            torch._foreach_mul_(bucket.entries, float(factor))
        for part in bucket.parts:
            part.store()


def _at(controller: ControllerState, i: int) -> ControllerState:
    """A copy of the state of one sample, which later steps do not change."""
    return ControllerState(
        alpha_bar=controller.alpha_bar.reshape(-1)[i].clone(),
        gamma=controller.gamma.reshape(-1)[i].clone(),
        beta=controller.beta.reshape(-1)[i].clone(),
        skipped=controller.skipped.clone(),
    )


def _state(
    scan: _Scan, change: _Change, controller: ControllerState, settings: Settings
) -> TailState:
    estimate, norm = scan.estimate, scan.squares.sqrt()
    return TailState(
        control_alpha=estimate.alpha,
        control_alpha_bar=controller.alpha_bar,
        control_stderr=estimate.stderr,
        xi=moment_of(scan.top).xi,
        k=estimate.k,
        n=estimate.n,
        gamma=controller.gamma,
        beta=controller.beta,
        target_alpha=torch.full_like(controller.gamma, settings.target_alpha),
        # Always by Hill's estimator, whichever one the controller uses.
        update_alpha=(1 / change.top.m1).masked_fill(estimate.xi.isnan(), torch.nan),
        grad_norm=norm,
        norm_ratio=change.squares.sqrt() / norm,
        n_zero=estimate.n_zero,
        n_nonfinite=estimate.n_nonfinite,
        status=estimate.status,
        skipped=controller.skipped,
        histogram=scan.sketch.histogram,
    )
