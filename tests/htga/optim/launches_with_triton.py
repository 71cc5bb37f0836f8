"""Count what a step launches on the way that it takes on a GPU, under Triton's interpreter."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import SGD

from htga.optim import HTGA, amplify, htga, triton_amplify
from htga.optim.weights import reweight
from htga.optim.weights.triton_reweight import reweight_by_triton
from htga.tail import measure
from htga.tail.estimators import triton_excesses
from htga.tail.histogram import sketch
from htga.tail.tail_size import max_tail_size
from tests.htga.distributions import student_t

ROOT = Path(__file__).parents[3]
launches = runpy.run_path(str(ROOT / "benchmarks" / "gpu.py"))["launches"]
np.seterr(all="ignore")  # The interpreter computes what a mask then hides.
for module in (amplify, htga):
    setattr(module, "host_decides", lambda _: False)  # noqa: B010 (mypy)
setattr(sketch, "_on_cpu", sketch._on_device)  # noqa: B010
setattr(reweight, "_on_cpu", reweight_by_triton)  # noqa: B010
for module in (triton_excesses, triton_amplify):
    setattr(module, "BLOCK", 4096)  # noqa: B010  few programs: the interpreter takes long for each

KINDS: list[dict[str, Any]] = [{"scope": "global"}, {}]
for given in KINDS:
    parameters = [torch.zeros(1500), torch.zeros(400, 2), torch.zeros(8)]
    for parameter in parameters:
        parameter.grad = student_t(1.5, parameter.numel()).float().view(parameter.shape)
    optimizer = HTGA(SGD(parameters, lr=1e-9, momentum=0.9, fused=True), **given)
    found = launches(optimizer.step)
    print(found.total(), given)
    print(dict(found), file=sys.stderr)

measuring = sys.modules["htga.tail.measure"]
size = max_tail_size(sum(parameter.numel() for parameter in parameters), "auto")
setattr(  # noqa: B010
    measuring, "sketch_for", lambda parts, _, bits: sketch._on_device(parts, size + 1, bits, None)
)
gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
found = launches(lambda: measure(gradients))
print(found.total(), "measure")
print(dict(found), file=sys.stderr)
