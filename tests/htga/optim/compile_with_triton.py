"""Compile the kernels for CUDA devices, which needs none."""

from __future__ import annotations

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htga.optim.rank_weights import TABLE_BITS
from htga.optim.triton_reweight import BLOCK, multiply_kernel, reweight_kernel
from htga.tail.counting import READABLE

REWEIGHT = {
    "table": "*i64",
    "n_segments": "i32",
    "scales": "*fp32",
    "level": "*fp32",
    "rise": "*fp32",
    "largest": "*fp32",
    "exact": "*fp32",
    "n_largest": "i32",
    "sums": "*fp64",
}
MULTIPLY = {"table": "*i64", "n_segments": "i32", "factor": "*fp32", "unless": "*i32"}

for dtype in READABLE:
    name = str(dtype).removeprefix("torch.")
    lookup: dict[str, object] = {"SCALED": True, "SHIFT": 23 - TABLE_BITS, "HALVINGS": 11}
    for kernel, arguments, constants in (
        (reweight_kernel, REWEIGHT, lookup),
        (multiply_kernel, MULTIPLY, {}),
    ):
        constants |= {"DTYPE": name, "BLOCK": BLOCK}
        for capability in (80, 90):
            compiled = triton.compile(
                ASTSource(
                    fn=kernel,
                    signature=arguments | dict.fromkeys(constants, "constexpr"),
                    constexprs=constants,
                ),
                target=GPUTarget("cuda", capability, 32),
                options={"enable_fp_fusion": False},
            )
            assert "st.global" in compiled.asm["ptx"]
            print(f"{kernel.fn.__name__} of {name} on {capability}")
