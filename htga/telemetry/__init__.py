"""Telemetry of any torch optimizer: `attach` measures its gradients and sends them off."""

from __future__ import annotations

from htga.telemetry.attach import attach
from htga.telemetry.preemption import install_preemption_handler
from htga.telemetry.run import Run

__all__ = ["Run", "attach", "install_preemption_handler"]
