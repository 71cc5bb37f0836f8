"""The error of a closure that nothing can be measured with."""

from __future__ import annotations


class ClosureError(ValueError):
    """A closure made no gradient, changed the weights, or returned no loss."""
