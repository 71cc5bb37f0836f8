"""Live updates: who is told what changed, which runs are viewed, how often a client may send.

In: changes in this process and, by Postgres, in others. Out: server-sent events.
May import every floor below: storage, runs, timeseries, ingest, reads.
"""
