"""Who may reach the collector: tokens, hosts and origins, limits on size and rate.

Requests go in, requests with a grant or refusals come out. May import the floors below.
"""
