"""Compile the kernels for CUDA devices, which needs none, and check the result."""

from __future__ import annotations

from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htga.tail.estimators.triton_estimate import estimate_kernel
from htga.tail.estimators.triton_excesses import BLOCK as SMALL
from htga.tail.estimators.triton_excesses import excess_kernel
from htga.tail.flat_tensors import TRITON_DTYPES
from htga.tail.histogram.sketch import BITS
from htga.tail.histogram.triton_counting import PRIVATE_BINS, kernel
from htga.tail.histogram.triton_segments import BLOCK, sum_kernel
from htga.tail.histogram.triton_top_k import (
    DIGIT,
    collect_kernel,
    digit_kernel,
    floor_kernel,
    verdict_kernel,
)
from htga_client.wire.histogram import n_bins
from tests.support.seeded_random import LONG


def typed(arguments: str) -> dict[str, str]:
    """The signature that Triton wants."""
    return dict(pair.split(":") for pair in arguments.split())


COUNT = typed(
    "table:*i64 n_segments:i32 state:*i64 scales:*fp32 squares:*fp64 scratch:*i64 room:*fp32 "
    "capacity:i32 stride:i32"
)
FIND = typed(
    "table:*i64 n_segments:i32 scales:*fp32 scratch:*i64 digits:*i64 room:*fp32 capacity:i32"
)
TAIL = {"RULE": "fraction", "BINS": n_bins(BITS)}
ONCE: list[tuple[Any, str, dict[str, Any]]] = [
    (floor_kernel, "state:*i64 scratch:*i64 wanted:i32", {"BITS": BITS}),
    (verdict_kernel, "state:*i64 scratch:*i64 size:i32 capacity:i32", {"BITS": BITS}),
    (
        sum_kernel,
        "values:*fp64 firsts:*i64 owners:*i64 sums:*fp64",
        {"BLOCK": BLOCK},
    ),
    (
        excess_kernel,
        "state:*i64 largest:*fp64 m:i32 span:i32 number:*fp64 logs:*fp64 sums:*fp64",
        TAIL | {"BLOCK": SMALL},
    ),
    (
        estimate_kernel,
        ("state:*i64 sums:*fp64 programs:i32 number:*fp64 numbers:*fp64 counts:*i64 status:*i8"),
        TAIL | {"MOMENT": False},
    ),
]


def check(what: str, compiled: Any, *words: str) -> None:
    """The kernel writes, and adds up, where other programs can see it."""
    assert all(word in compiled.asm["ptx"] for word in words), what
    print(what)


def compiled(function: Any, signature: dict[str, str], capability: int, **constants: Any) -> Any:
    """A kernel as it would run on a device."""
    return triton.compile(
        ASTSource(
            fn=function,
            signature=signature | dict.fromkeys(constants, "constexpr"),
            constexprs=constants,
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"enable_fp_fusion": False},
    )


for capability in (80, 90) if LONG else (90,):
    for dtype in TRITON_DTYPES if capability == 90 else (torch.float32,):
        name = str(dtype).removeprefix("torch.")
        shared: dict[str, Any] = {"DTYPE": name, "BLOCK": BLOCK}
        where = f"of {name} on {capability}"
        for squaring in (False, True):
            counting = shared | {"SCALED": squaring, "SQUARING": squaring, "KEEPING": squaring}
            made = compiled(
                kernel, COUNT, capability, **counting, BITS=BITS, PRIVATE_BINS=PRIVATE_BINS
            )
            assert made.metadata.shared > 0
            if squaring:
                check(f"scan {where}", made, "red.global", "atom.global", "st.global")
            else:
                check(f"count {where}", made, "red.global")
        finding = shared | {"SCALED": True, "LEFT": 20, "DIGIT": DIGIT}
        for first in (True, False):
            digit = compiled(digit_kernel, FIND, capability, **finding, FIRST=first)
            check(f"{'first' if first else 'second'} digit {where}", digit, "red.global")
        collect = compiled(collect_kernel, FIND, capability, **finding)
        check(f"collect {where}", collect, "atom.global", "st.global")
    for function, arguments, constants in ONCE:
        made = compiled(function, typed(arguments), capability, **constants)
        check(f"{function.fn.__name__} on {capability}", made, "st.global")
