"""Counts, the largest magnitudes and the norm of a sample, in one pass over it.

In: flat tensors of any device. Out: histograms and sketches that merge. May import the modules of
`htga.tail`, but neither `estimators` nor `measure`.
"""
