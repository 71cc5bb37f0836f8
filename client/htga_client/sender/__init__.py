"""Delivery of one run's rows from the training thread to the collector.

In: rows and callables through `Sender.put`. Out: Arrow streams through a `HttpTransport`. May
import `wire`, `http` and `spool`.
"""
