"""Compile the kernels for CUDA devices, which needs none."""

from __future__ import annotations

from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htga.optim.constants import TABLE_BITS
from htga.optim.kernels.control import control_kernel
from htga.optim.kernels.rank_weights import sizes_kernel, weights_kernel
from htga.optim.kernels.reweighted import reweighted_kernel
from htga.optim.triton_amplify import BINS, EDGES, ENTRIES
from htga.optim.weights.triton_reweight import (
    BLOCK,
    multiply_kernel,
    reciprocal_kernel,
    reweight_kernel,
)
from htga.tail.estimators.triton_excesses import BLOCK as SMALL
from htga.tail.flat_tensors import TRITON_DTYPES

REWEIGHT = {
    "table": "*i64",
    "n_segments": "i32",
    "scales": "*fp32",
    "level": "*fp32",
    "rise": "*fp32",
    "largest": "*fp64",
    "exact": "*fp64",
    "n_largest": "i32",
    "sums": "*fp64",
}
MULTIPLY = {"table": "*i64", "n_segments": "i32", "factor": "*fp64", "unless": "*i1"}

RULES = {"RULE": "fraction", "MOMENT": False, "BINS": BINS}
TABLE = {"BINS": BINS, "EDGES": EDGES, "ROOM": ENTRIES, "BITS": TABLE_BITS}
ONCE: list[tuple[Any, str, dict[str, Any]]] = [
    (
        reciprocal_kernel,
        "sizes:*fp64 squares:*fp64 scales:*fp32 n:i32",
        {"BLOCK": BLOCK},
    ),
    (
        control_kernel,
        (
            "state:*i64 largest:*fp64 m:i32 sums:*fp64 programs:i32 number:*fp64 logs:*fp64 "
            "log_ranks:*fp64 options:*fp64 memory:*fp64 stride:i32 coarse:*fp64 fine:*fp64 "
            "numbers:*fp64 counts:*i64 status:*i8 scratch:*fp64 above:*fp64"
        ),
        RULES
        | {"INVERSE": True, "GAMMA": "integral", "SIGN": -1, "BETA": "refined"}
        | {"EDGES": EDGES, "BLOCK": SMALL},
    ),
    (
        weights_kernel,
        (
            "largest:*fp64 m:i32 span:i32 programs:i32 d:i32 options:*fp64 beta:*fp64 "
            "scratch:*fp64 above:*fp64 coarse:*fp64 fine:*fp64 edges:*fp64 level:*fp32 "
            "rise:*fp32 rising:*fp64 exact:*fp64 sums:*fp64 top:*fp64"
        ),
        TABLE | {"CAPS": True, "HALVINGS": 11, "BLOCK": SMALL},
    ),
    (
        sizes_kernel,
        (
            "rising:*fp64 m:i32 span:i32 programs:i32 options:*fp64 counts:*i64 seen:*fp64 "
            "gamma:*fp64 scratch:*fp64 level:*fp32 rise:*fp32 exact:*fp64 sums:*fp64 top:*fp64 "
            "logs:*fp64 log_sums:*fp64"
        ),
        {"NORMALIZE": "l2", "CAPS": True, "ROOM": ENTRIES, "BLOCK": SMALL},
    ),
    (
        reweighted_kernel,
        (
            "squares:*fp64 found:*fp64 gamma:*fp64 counts:*i64 level:*fp32 scratch:*fp64 "
            "logs:*fp64 log_sums:*fp64 programs:i32 m:i32 results:*fp64 bad:*i1"
        ),
        {"NORMALIZE": "mean_one", "CHANGED": True, "TOLERANCE": 1e-3, "BLOCK": SMALL},
    ),
]


def show(
    kernel: Any,
    what: str,
    signature: dict[str, str],
    constants: dict[str, object],
    capabilities: tuple[int, ...] = (80, 90),
) -> None:
    """Compile for each generation of devices, and print it."""
    for capability in capabilities:
        compiled = triton.compile(
            ASTSource(
                fn=kernel,
                signature=signature | dict.fromkeys(constants, "constexpr"),
                constexprs=constants,
            ),
            target=GPUTarget("cuda", capability, 32),
            options={"enable_fp_fusion": False},
        )
        assert "st.global" in compiled.asm["ptx"]
        print(f"{kernel.fn.__name__}{what} on {capability}")


for kernel, arguments, constants in ONCE:
    show(kernel, "", dict(pair.split(":") for pair in arguments.split()), constants)
for dtype in TRITON_DTYPES:
    name = str(dtype).removeprefix("torch.")
    lookup: dict[str, object] = {"SCALED": True, "SHIFT": 23 - TABLE_BITS, "HALVINGS": 11}
    for kernel, signature, constants in (
        (reweight_kernel, REWEIGHT, lookup),
        (multiply_kernel, MULTIPLY, {}),
    ):
        both = (80, 90) if dtype is torch.float32 else (90,)
        show(kernel, f" of {name}", signature, constants | {"DTYPE": name, "BLOCK": BLOCK}, both)
