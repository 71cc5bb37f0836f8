"""Which of Dash's scripts come with every page, and which when they are needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dash import Dash
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

NEEDLESS = ("/deps/polyfill@", "/dash_table/")
"""Browsers that know what the dashboard is written in need no polyfills, which would put slower
functions in the place of their own; and nothing here is a table of Dash's own."""

TABLE = "/dash_ag_grid/"
"""The scripts of AG Grid, 2 MB, wait for the first table: `assets/grid.js` loads them."""


class Dashboard(Dash):
    """Dash with a document that loads less.

    `TABLES` in the template of its document becomes the addresses of the scripts of AG Grid.
    """

    def interpolate_index(self, *, scripts: str = "", **parts: Any) -> str:  # type: ignore[override]
        """The document; the arguments are its parts by their names, as Dash writes them."""
        tags = scripts.splitlines()
        kept = [tag for tag in tags if not any(name in tag for name in (*NEEDLESS, TABLE))]
        table = "".join(tag for tag in tags if TABLE in tag)
        whole: Callable[..., str] = super().interpolate_index
        index = whole(scripts="\n".join(kept), **parts)
        return index.replace("TABLES", " ".join(tables(table)))


async def no_script(_request: Request, error: Exception) -> Response:
    """The answer to a request for a script that no library of Dash has."""
    return PlainTextResponse(f"No such script: {error}", status_code=404)


def tables(tag: str) -> tuple[str, str]:
    """The addresses of AG Grid's two scripts, with their versions.

    Args:
        tag: That would load the first; it would itself ask for the second, once it has run.
    """
    found = re.search(r'src="([^"]*)/dash_ag_grid(\.[^"]*)\.min\.js"', tag)
    if found is None:
        raise RuntimeError(f"dash_ag_grid has no script in {tag!r}; pin the version we know")
    folder, version = found.groups()
    return f"{folder}/dash_ag_grid{version}.min.js", f"{folder}/async-community{version}.js"
