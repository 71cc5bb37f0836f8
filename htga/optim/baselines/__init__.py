"""Optimizers that HTGA is compared with: clipped and normalised SGD, and TailOPT.

In: parameters with gradients. Out: a step. May import `wrapper` and `htga.tail`.
"""
