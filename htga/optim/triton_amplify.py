"""Amplification of one step on CUDA, in a few kernel launches.

`htga.optim.amplify` does the same in about a hundred small operations for each sample, which cost
the host more time than the device. It also does the ranks by sorting, which are not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from htga.optim.constants import MAX_CAPPED, TABLE_BITS
from htga.optim.controller.amplified import SIZE_TOLERANCE, Amplified
from htga.optim.controller.controller import ControllerState
from htga.optim.kernels.control import control_kernel
from htga.optim.kernels.rank_weights import sizes_kernel, weights_kernel
from htga.optim.kernels.reweighted import reweighted_kernel
from htga.optim.kernels.scratch_layout import SCRATCH_SIZE, SQUARES, TOTAL
from htga.optim.settings import Settings
from htga.optim.weights.rank_weights import RankWeights, n_exact
from htga.optim.weights.reweight import reweight
from htga.optim.weights.samples import Sample
from htga.tail import TailState
from htga.tail.device_constants import constants
from htga.tail.estimators.triton_estimate import Estimates
from htga.tail.estimators.triton_excesses import BLOCK, Excesses
from htga.tail.histogram import binned
from htga.tail.histogram.sketch import BITS
from htga.tail.triton.launch import launch

BINS, EDGES = 255 << BITS, 255 << TABLE_BITS
"""Number of bins of a sketch, and of the table of weights."""

ENTRIES = 256 << TABLE_BITS
"""Number of entries of that table, including bit patterns that are not numbers."""


def amplify_by_triton(
    samples: dict[int, Sample], controller: ControllerState, settings: Settings, *, masks: bool
) -> Amplified:
    """As `htga.optim.amplify.amplify_samples`, on one CUDA device and with fast ranks."""
    # Allocated anew, because a `TailState` keeps views of it.
    moved = torch.stack(
        [x.reshape(-1) for x in (controller.alpha_bar, controller.gamma, controller.beta)]
    )
    bad = torch.zeros((), dtype=torch.bool, device=moved.device)
    steps = {i: _Step.of(sample, moved[:, i], settings) for i, sample in samples.items()}
    results = {i: step.run(bad) for i, step in steps.items()}
    if masks or not settings.changes_nothing:
        for i, sample in samples.items():
            sample.finish(results[i][3], unless=bad)
    alpha_bar, gamma, beta = (x.reshape(controller.gamma.shape) for x in moved.unbind())
    skipped = controller.skipped + bad
    return Amplified(
        ControllerState(alpha_bar=alpha_bar, gamma=gamma, beta=beta, skipped=skipped),
        {i: step.state(results[i], skipped) for i, step in steps.items()},
        bad,
        hosted=False,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One sample, and the buffers that its kernels share.

    Attributes:
        sample: As given.
        settings: The optimizer's.
        options: The numbers among the settings, float64.
        controller: The sample's alpha_bar, gamma and beta, float64 [3]; written to.
        seen: The largest magnitudes; their logarithms become those of the weighted ones.
        estimates: Where the estimates are written.
        scratch: See `htga.optim.kernels.scratch_layout`, float64.
        above: Number of entries in each bin and above, float64.
    """

    sample: Sample
    settings: Settings
    options: Tensor
    controller: Tensor
    seen: Excesses
    estimates: Estimates
    scratch: Tensor
    above: Tensor

    @classmethod
    def of(cls, sample: Sample, controller: Tensor, settings: Settings) -> _Step:
        """Scan a sample."""
        device = controller.device
        sketch = sample.sketch(n_exact(sample.d, settings.k))
        return cls(
            sample,
            settings,
            constants(_numbers(settings), device),
            controller,
            Excesses.of(sketch, settings.k),
            Estimates.empty(device),
            torch.empty(SCRATCH_SIZE, dtype=torch.float64, device=device),
            torch.empty(BINS + 1, dtype=torch.float64, device=device),
        )

    @property
    def squares(self) -> Tensor:
        """Sum of the squares of all entries before weighting."""
        of_sample = self.sample.squares
        return self.seen.sketch.squares if of_sample is None else of_sample

    def run(self, bad: Tensor) -> Tensor:
        """Update the controller and reweight; returns results, float64 [4], and writes to `bad`."""
        self.control()
        changes = not self.settings.changes_nothing
        found, level, log_sums = self.squares, self.squares, self.squares
        if changes:
            weights, log_sums = self.weights()
            level = weights.level
            found = self.sample.total(
                lambda bucket: reweight(bucket.entries, weights.to(bucket.device), bucket.scales)
            )
        results = torch.empty(4, dtype=torch.float64, device=bad.device)
        launch(
            reweighted_kernel,
            1,
            self.squares,
            found,
            self.controller[1],
            self.estimates.counts,
            level,
            self.scratch,
            self.seen.logs,
            log_sums,
            self.seen.programs,
            self.seen.logs.numel(),
            results,
            bad,
            NORMALIZE=self.settings.normalize,
            CHANGED=changes,
            TOLERANCE=SIZE_TOLERANCE,
            BLOCK=BLOCK,
        )
        return results

    def control(self) -> None:
        """Estimate, and update the controller."""
        seen, settings = self.seen, self.settings
        device, m = self.scratch.device, seen.logs.numel()
        exact = "refined" if settings.estimator == "hill" else "exact"
        launch(
            control_kernel,
            1,
            seen.sketch.histogram.state,
            seen.sketch.largest,
            m,
            seen.sums,
            seen.programs,
            seen.number,
            seen.logs,
            _log_ranks(m, device),
            self.options,
            self.controller,
            self.controller.stride(0),
            binned.log_edges(BITS, device),
            binned.log_edges(TABLE_BITS, device),
            *self.estimates.places,
            self.scratch,
            self.above,
            RULE=seen.rule,
            MOMENT=settings.estimator == "moment",
            INVERSE=settings.smoothing_of == "inv_alpha",
            GAMMA=settings.law if settings.controls_gamma else "constant",
            SIGN=1 if settings.direction == "as_written" else -1,
            BETA=exact if settings.controls_beta else "constant",
            BINS=BINS,
            EDGES=EDGES,
            BLOCK=BLOCK,
        )

    def weights(self) -> tuple[RankWeights, Tensor]:
        """The weights, and sums of logarithms of the largest weighted magnitudes of the tail."""
        seen, settings, device = self.seen, self.settings, self.scratch.device
        m, programs = seen.logs.numel(), seen.programs
        columns = programs + ENTRIES // BLOCK
        level, rise = torch.empty((2, ENTRIES), dtype=torch.float32, device=device).unbind()
        rising, exact = torch.empty((2, m), dtype=torch.float64, device=device).unbind()
        sums = torch.empty((3, columns), dtype=torch.float64, device=device)
        top = torch.empty((2, programs, MAX_CAPPED), dtype=torch.float64, device=device)
        log_sums = torch.empty(programs, dtype=torch.float64, device=device)
        caps = settings.max_coord_share < 1
        launch(
            weights_kernel,
            columns,
            seen.sketch.largest,
            m,
            seen.span,
            programs,
            max(self.sample.d, 1),
            self.options,
            self.controller[2],
            self.scratch,
            self.above,
            binned.log_edges(BITS, device),
            binned.log_edges(TABLE_BITS, device),
            binned.edges(TABLE_BITS, device),
            level,
            rise,
            rising,
            exact,
            sums,
            top,
            CAPS=caps,
            HALVINGS=m.bit_length(),
            BINS=BINS,
            EDGES=EDGES,
            ROOM=ENTRIES,
            BITS=TABLE_BITS,
            BLOCK=BLOCK,
        )
        launch(
            sizes_kernel,
            columns,
            rising,
            m,
            seen.span,
            programs,
            self.options,
            self.estimates.counts,
            seen.sketch.squares,
            self.controller[1],
            self.scratch,
            level,
            rise,
            exact,
            sums,
            top,
            seen.logs,
            log_sums,
            NORMALIZE=settings.normalize,
            CAPS=caps,
            ROOM=ENTRIES,
            BLOCK=BLOCK,
        )
        weights = RankWeights(
            level=level,
            rise=rise,
            largest=rising,
            exact=exact,
            total=self.scratch[TOTAL.value],
            squares=self.scratch[SQUARES.value],
        )
        return weights, log_sums

    def state(self, results: Tensor, skipped: Tensor) -> TailState:
        """The measurements that telemetry reads."""
        alpha_hat, stderr, xi = self.estimates.numbers.unbind()
        k, n, n_zero, n_nonfinite = self.estimates.counts.unbind()
        alpha_bar, gamma, beta = self.controller.unbind()
        update_alpha, norm, norm_ratio, _ = results.unbind()
        return TailState(
            control_alpha=alpha_hat,
            control_alpha_bar=alpha_bar,
            control_stderr=stderr,
            xi=xi,
            k=k,
            n=n,
            gamma=gamma,
            beta=beta,
            target_alpha=self.options[0],
            update_alpha=update_alpha,
            grad_norm=norm,
            norm_ratio=norm_ratio,
            n_zero=n_zero,
            n_nonfinite=n_nonfinite,
            status=self.estimates.status[0],
            skipped=skipped,
            histogram=self.seen.sketch.histogram,
        )


def _numbers(settings: Settings) -> tuple[float, ...]:
    """What the kernels load from `options`, in this order."""
    return (
        settings.target_alpha,
        settings.gain,
        settings.smoothing,
        *settings.gamma_bounds,
        settings.constant_gamma,
        settings.beta,
        *settings.beta_bounds,
        settings.w_max,
        settings.max_coord_share,
    )


@lru_cache(maxsize=64)
def _log_ranks(m: int, device: torch.device) -> Tensor:
    """Logarithms of the ranks from 1 to m, float64 [m]."""
    return torch.arange(1, m + 1, device=device).double().log()
