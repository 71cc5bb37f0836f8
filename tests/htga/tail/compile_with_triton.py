"""Compile the kernel for CUDA devices, which needs none, and look at what came out."""

from __future__ import annotations

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htga.tail.triton_counting import BLOCK, READABLE, WINDOW, kernel

SIGNATURE = {"table": "*i64", "n_segments": "i32", "state": "*i64"}

for dtype in READABLE:
    name = str(dtype).removeprefix("torch.")
    constants = {"DTYPE": name, "BITS": 3, "BLOCK": BLOCK, "WINDOW": WINDOW}
    signature = SIGNATURE | dict.fromkeys(constants, "constexpr")
    for capability in (80, 90):
        compiled = triton.compile(
            ASTSource(fn=kernel, signature=signature, constexprs=constants),
            target=GPUTarget("cuda", capability, 32),
            options={"enable_fp_fusion": False},
        )
        assembly = compiled.asm["ptx"]
        assert "red.global" in assembly or "atom.global" in assembly
        assert compiled.metadata.shared > 0
        print(f"{name} on {capability}: global and shared counts")
