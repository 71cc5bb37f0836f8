"""What readers ask for: series, histograms, tails, layer maps and groups of runs, on buckets.

Ids, keys and steps go in, wire dataclasses come out. May import storage, runs, timeseries.
"""
