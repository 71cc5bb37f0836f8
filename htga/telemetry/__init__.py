"""Telemetry of any torch optimizer: `attach` measures its gradients and sends the results.

In: an optimizer, and metrics through `Run.log`. Out: rows to a collector. May import `htga.tail`
and `htga_client`; it reads an optimizer's `tail` without importing `htga.optim`.
"""

from __future__ import annotations

from htga.telemetry.attach import attach
from htga.telemetry.preemption import install_preemption_handler
from htga.telemetry.run import Run

__all__ = ["Run", "attach", "install_preemption_handler"]
