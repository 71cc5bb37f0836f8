"""The collector's HTTP API, called asynchronously.

Arguments come in, the dataclasses of `htga_client.wire` go out. All I/O of the dashboard is here;
imports models only.
"""
