"""Rules and divergence: conditions over stored values, their events, and webhooks.

In: the steps that ingest stored. Out: events in the database, and posts to webhooks.
May import every floor below: storage, runs, timeseries, ingest, reads, live.
"""
