"""Whether Triton works on a device, and how its kernels are launched.

In: a kernel and its arguments. Out: nothing; kernels write in place. Imports nothing of ours.
"""
