"""Triton kernels of one optimizer step, only imported where Triton works.

In: pointers to a sketch, its tail and the settings. Out: the controller's state and the weights, in
place. May import `constants` and the kernels of `htga.tail`.
"""
