"""Rules for the size k of the tail, the number of the largest magnitudes that it holds."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from htga.tail.estimators.double_bootstrap import double_bootstrap
from htga.tail.estimators.goodness_of_fit import ks_minimum
from htga.tail.flat_tensors import Tensors, flatten
from htga.tail.tail_size import K, check_k, k_for

Rule = Literal["auto", "power", "fraction", "fixed", "ks", "double_bootstrap"]


def choose_k(
    x: Tensors, rule: Rule = "auto", value: float | None = None, *, seed: int = 0
) -> Tensor:
    """Choose the tail size of a sample.

    * "auto": 1 %, at least 50; the default everywhere. See `k_for`.
    * "power": n**0.6, at least 50 and at most n // 10.
    * "fraction": `value` of the entries, in (0, 1).
    * "fixed": `value` itself.
    * "ks": the size whose tail is nearest to a Pareto law, see `ks_minimum`; offline. It tends to
      a longer tail than the one with the least error.
    * "double_bootstrap": the size with Hill's least mean squared error, see `double_bootstrap`;
      offline, and for at most 100,000 entries.

    Args:
        x: The sample.
        rule: One of the above.
        value: The "fraction" or the "fixed" size; None with other rules.
        seed: Seed of the bootstrap.

    Returns:
        int64, 0-d; 0 if the sample is too small. On the device of `x`, but the bootstrap's on the
        CPU.

    Raises:
        TypeError: `x` is neither a tensor nor a sequence of them.
        ValueError: The rule is unknown, or the value does not fit it.
    """
    if value is None and rule == "ks":
        return ks_minimum(x)
    if value is None and rule == "double_bootstrap":
        return double_bootstrap(x, seed=seed)
    if value is None and rule in {"auto", "power"}:
        k: K = rule
    elif value is not None and (rule, type(value)) in {("fraction", float), ("fixed", int)}:
        k = value
    else:
        raise ValueError(
            "rule must be 'auto', 'power', 'ks' or 'double_bootstrap' without a value, 'fraction' "
            f"with a float or 'fixed' with an integer, got {rule!r} with {value!r}"
        )
    check_k(k)
    flat = flatten(x)
    return k_for(torch.count_nonzero(flat.isfinite() & (flat != 0)), k)
