"""Rules and divergence: detectors over stored values, their events, and webhooks.

Stored steps go in, events and posts come out. May import the floors below.
"""
