"""Estimators of a tail index, their standard errors, and the choice of the tail size.

In: tensors, or order statistics of them. Out: a `TailEstimate`. May import `histogram` and the
modules below it.
"""
