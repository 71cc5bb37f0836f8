"""Compile the kernels for CUDA devices, which needs none, and look at what came out."""

from __future__ import annotations

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htga.tail.counting import READABLE
from htga.tail.triton_counting import BLOCK, WINDOW, kernel, name_of
from htga.tail.triton_sketch import DIGIT, choose_kernel, collect_kernel, digit_kernel

TABLE = {"table": "*i64", "n_segments": "i32"}
COUNT = {
    **TABLE,
    "state": "*i64",
    "scales": "*fp32",
    "squares": "*fp64",
    "floor": "*i32",
    "room": "*fp32",
    "kept": "*i32",
    "capacity": "i32",
    "stride": "i32",
}
DIGITS = {**TABLE, "scales": "*fp32", "state": "*i64", "found": "*i64"}
COLLECT = {
    **TABLE,
    "scales": "*fp32",
    "state": "*i64",
    "room": "*fp32",
    "kept": "*i32",
    "capacity": "i32",
}


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


for capability in (80, 90):
    for dtype in READABLE:
        shared: dict[str, Any] = {"DTYPE": name_of(dtype), "BLOCK": BLOCK}
        where = f"of {shared['DTYPE']} on {capability}"
        for looking in (False, True):
            counting = shared | {"SCALED": looking, "LOOKING": looking, "BITS": 3, "WINDOW": WINDOW}
            made = compiled(kernel, COUNT, capability, **counting)
            assert made.metadata.shared > 0
            if looking:
                check(f"look {where}", made, "red.global", "atom.global", "st.global")
            else:
                check(f"count {where}", made, "red.global")
        digit = compiled(
            digit_kernel, DIGITS, capability, **shared, SCALED=True, SHIFT=8, DIGIT=DIGIT
        )
        check(f"digits {where}", digit, "red.global")
        check(
            f"collect {where}",
            compiled(collect_kernel, COLLECT, capability, **shared, SCALED=True),
            "atom.global",
            "st.global",
        )
    chosen = compiled(choose_kernel, {"state": "*i64", "found": "*i64"}, capability, DIGIT=DIGIT)
    check(f"choose on {capability}", chosen, "st.global")
