"""What readers ask for: series, histograms, tails, layer maps and groups of runs, on buckets.

In: a run id, keys and a range of steps. Out: the dataclasses of `htga_client.wire`.
May import storage, runs and timeseries.
"""
