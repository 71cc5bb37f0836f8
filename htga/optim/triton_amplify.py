"""One step's amplification on CUDA, in a handful of launches.

`htga.optim.amplify` does the same in small operations, some hundred for each sample, which cost the
host more time than the device. Ranks by sorting are left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from htga.optim.controller.controller import Memory
from htga.optim.controller.outcome import SIZE_TOLERANCE, Outcome
from htga.optim.kernels.control import control_kernel
from htga.optim.kernels.outcome import outcome_kernel
from htga.optim.kernels.rank_weights import sizes_kernel, weights_kernel
from htga.optim.kernels.scratch_layout import NOTES, SQUARES, TOTAL
from htga.optim.settings import Settings
from htga.optim.weights.rank_weights import CAPPED, TABLE_BITS, RankWeights, n_exact
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
"""Of a sketch, and of the table of weights."""

ENTRIES = 256 << TABLE_BITS
"""Of that table, those of bit patterns that are no numbers included."""


def amplify_by_triton(
    samples: dict[int, Sample], memory: Memory, settings: Settings, *, masks: bool
) -> Outcome:
    """As `htga.optim.amplify.amplify_samples`, on one CUDA device and with fast ranks."""
    # New at each step: no later step writes to what a state holds.
    moved = torch.stack([x.reshape(-1) for x in (memory.alpha_bar, memory.gamma, memory.beta)])
    bad = torch.zeros((), dtype=torch.bool, device=moved.device)
    steps = {i: _Step.of(sample, moved[:, i], settings) for i, sample in samples.items()}
    results = {i: step.run(bad) for i, step in steps.items()}
    if masks or not settings.changes_nothing:
        for i, sample in samples.items():
            sample.finish(results[i][3], unless=bad)
    alpha_bar, gamma, beta = (x.reshape(memory.gamma.shape) for x in moved.unbind())
    skipped = memory.skipped + bad
    return Outcome(
        Memory(alpha_bar=alpha_bar, gamma=gamma, beta=beta, skipped=skipped),
        {i: step.state(results[i], skipped) for i, step in steps.items()},
        bad,
        hosted=False,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One sample, and what its kernels leave for each other.

    Attributes:
        sample: It.
        settings: Of the optimizer.
        options: Of these the numbers, float64.
        memory: Its alpha_bar, gamma and beta, float64 [3]; written to.
        seen: Of the largest magnitudes; their logarithms become those of the weighted ones.
        estimates: What was estimated.
        notes: See `htga.optim.triton_control`, float64.
        above: How many entries are in each bin and above, float64.
    """

    sample: Sample
    settings: Settings
    options: Tensor
    memory: Tensor
    seen: Excesses
    estimates: Estimates
    notes: Tensor
    above: Tensor

    @classmethod
    def of(cls, sample: Sample, memory: Tensor, settings: Settings) -> _Step:
        """Look at a sample."""
        device = memory.device
        sketch = sample.sketch(n_exact(sample.d, settings.k))
        return cls(
            sample,
            settings,
            constants(_numbers(settings), device),
            memory,
            Excesses.of(sketch, settings.k),
            Estimates.empty(device),
            torch.empty(NOTES, dtype=torch.float64, device=device),
            torch.empty(BINS + 1, dtype=torch.float64, device=device),
        )

    @property
    def squares(self) -> Tensor:
        """Of all entries as they are, summed."""
        of_sample = self.sample.squares
        return self.seen.sketch.squares if of_sample is None else of_sample

    def run(self, bad: Tensor) -> Tensor:
        """Move the memory, reweight, and say what came of it, float64 [4]; `bad` is written to."""
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
            outcome_kernel,
            1,
            self.squares,
            found,
            self.memory[1],
            self.estimates.counts,
            level,
            self.notes,
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
        """Estimate, and let the controller move."""
        seen, settings = self.seen, self.settings
        device, m = self.notes.device, seen.logs.numel()
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
            self.memory,
            self.memory.stride(0),
            binned.log_edges(BITS, device),
            binned.log_edges(TABLE_BITS, device),
            *self.estimates.places,
            self.notes,
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
        seen, settings, device = self.seen, self.settings, self.notes.device
        m, programs = seen.logs.numel(), seen.programs
        columns = programs + ENTRIES // BLOCK
        level, rise = torch.empty((2, ENTRIES), device=device).unbind()
        rising, exact = torch.empty((2, m), dtype=torch.float64, device=device).unbind()
        sums = torch.empty((3, columns), dtype=torch.float64, device=device)
        top = torch.empty((2, programs, CAPPED), dtype=torch.float64, device=device)
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
            self.memory[2],
            self.notes,
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
            self.memory[1],
            self.notes,
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
            total=self.notes[TOTAL.value],
            squares=self.notes[SQUARES.value],
        )
        return weights, log_sums

    def state(self, results: Tensor, skipped: Tensor) -> TailState:
        """What the step leaves for whoever watches it."""
        alpha_hat, stderr, xi = self.estimates.numbers.unbind()
        k, n, n_zero, n_nonfinite = self.estimates.counts.unbind()
        alpha_bar, gamma, beta = self.memory.unbind()
        update_alpha, norm, norm_ratio, _ = results.unbind()
        return TailState(
            alpha_hat=alpha_hat,
            alpha_bar=alpha_bar,
            alpha_stderr=stderr,
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
            histogram=self.sample.histogram or self.seen.sketch.histogram,
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
