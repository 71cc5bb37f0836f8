"""From the bytes of a request to stored rows: decode, check, sequence, store, summarize.

An Arrow stream or JSON goes in, a receipt comes out. May import storage, runs and timeseries.
"""
