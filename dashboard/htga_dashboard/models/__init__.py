"""Plain data of the pages, computed from what the API returns.

Runs, series and URL queries come in; frozen dataclasses, tables and text go out. No I/O, no Dash;
imports `htga_client` only.
"""
