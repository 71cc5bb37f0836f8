"""Telemetry of any torch optimizer: `attach` measures its gradients and sends them off."""
