"""From the bytes of a request to stored rows: decode, check, sequence, store, summarize.

In: an Arrow stream or JSON rows. Out: a receipt, or the reason why nothing was stored.
May import storage, runs and timeseries.
"""
