"""Plotly's script from the installed package, served at an address with its version."""

from __future__ import annotations

from functools import cache
from importlib import metadata, resources

from starlette.requests import Request
from starlette.responses import Response

PATH = f"/plotly-{metadata.version('plotly')}.min.js"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""The address holds the version, so its content never changes."""


@cache
def script() -> str:
    """The script, 5 MB."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")


async def send(_request: Request) -> Response:
    """Respond with the script."""
    return Response(script(), media_type="text/javascript", headers=FOR_EVER)
