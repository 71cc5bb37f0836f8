"""Runs as records: registering, finding, listing, changing and deleting them, and their events.

In: a connection and the dataclasses of `htga_client.wire`. Out: the same dataclasses.
May import storage.
"""
