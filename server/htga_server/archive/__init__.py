"""Runs as Parquet, SQL over live and archived rows, and the removal of old rows.

In: a run id, or a SELECT. Out: files with a manifest, or an Arrow table.
May import every floor below, but uses storage, runs and timeseries only.
"""
