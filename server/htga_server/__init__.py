"""The collector: receives, stores and serves telemetry."""
