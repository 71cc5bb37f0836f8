"""Who may reach the collector: tokens, Host and Origin checks, limits on size and rate.

In: every request, before any route. Out: the request with its grant, or a refusal.
May import every floor below, but uses storage only.
"""
