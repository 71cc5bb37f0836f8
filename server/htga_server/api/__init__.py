"""The routes, one module for each resource, and what they depend on.

In: HTTP requests. Out: the dataclasses of `htga_client.wire` as JSON, or Arrow.
May import every floor below.
"""
