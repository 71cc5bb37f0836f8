"""The dashboard: Dash pages over the collector's HTTP API.

Requests of a browser come in, pages and figures go out. Floors, lowest first: models, source,
figures, http, components, pages, app; a module imports lower floors and `htga_client` only.
"""
