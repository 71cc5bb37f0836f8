"""Runs as records, and their events: registering, finding, listing, changing, deleting.

Dataclasses of `htga_client.wire` go in and come out. May import storage.
"""
