"""Levy-stable noise, the stochastic differential equations driven by it, and their exit times.

Noise is symmetric, with E exp(i xi L_t) = exp(-t |xi|**alpha); all tensors are float64.

In: laws, potentials and domains. Out: paths and exit times. Imports nothing else of ours.
"""

from __future__ import annotations

from htga.levy.domain import Ball, Domain, Interval
from htga.levy.exit_time import ExitTime, exit_time, first_exits
from htga.levy.laws import (
    gaussian_exit_time,
    getoor_exit_time,
    gibbs_share,
    imkeller_pavlyukevich_exit_time,
    kramers_exit_time,
    monitored_width,
    refuted_proposal_exit_time,
    truncated_exit_order,
    two_well_share,
)
from htga.levy.matching import matched_noise, matched_scale, recorded_noise
from htga.levy.noise import (
    Isotropic,
    Noise,
    ParetoJumps,
    Stable,
    Tempered,
    Truncated,
    jump_rate,
)
from htga.levy.potential import Custom, DoubleWell, Potential, Quadratic, TwoWells
from htga.levy.simulate import simulate
from htga.levy.stable import (
    sample_isotropic_stable,
    sample_positive_stable,
    sample_stable,
    tail_constant,
)

__all__ = [
    "Ball",
    "Custom",
    "Domain",
    "DoubleWell",
    "ExitTime",
    "Interval",
    "Isotropic",
    "Noise",
    "ParetoJumps",
    "Potential",
    "Quadratic",
    "Stable",
    "Tempered",
    "Truncated",
    "TwoWells",
    "exit_time",
    "first_exits",
    "gaussian_exit_time",
    "getoor_exit_time",
    "gibbs_share",
    "imkeller_pavlyukevich_exit_time",
    "jump_rate",
    "kramers_exit_time",
    "matched_noise",
    "matched_scale",
    "monitored_width",
    "recorded_noise",
    "refuted_proposal_exit_time",
    "sample_isotropic_stable",
    "sample_positive_stable",
    "sample_stable",
    "simulate",
    "tail_constant",
    "truncated_exit_order",
    "two_well_share",
]
