"""Experiments on the theory of heavy-tailed noise: exit times, and escapes under HTGA's control.

In: sizes and seeds. Out: measurements, verdicts, charts and rows of numbers. May import
`htga.experiments`, `htga.levy`, `htga.optim` and `htga.tail`.
"""
