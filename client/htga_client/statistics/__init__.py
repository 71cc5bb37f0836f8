"""Statistics on NumPy that the probe, the collector and the dashboard share.

In: arrays. Out: tail indices, survival curves, quantiles of Student's t. Imports nothing of ours.
"""
