"""Rank weights: how they follow from a sample, and how they multiply it in place.

In: sketches, exponents, and tensors to rewrite. Out: weights, and sums of what was written. May
import `settings`, `constants` and `htga.tail`.
"""
