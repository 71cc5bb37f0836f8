"""The spectra of weight matrices, computed on a thread beside the training.

In: an optimizer's parameters. Out: rows with the tail index of their eigenvalues. May import the
guard, the names and the schedule of `htga.telemetry`.
"""
