"""Dash with fewer scripts: some are dropped, and those of AG Grid load with the first table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dash import Dash
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from htga_dashboard.http.root_path import root_path

NEEDLESS = ("/deps/polyfill@", "/dash_table/")
"""Scripts that are dropped: no supported browser needs polyfills, and no page has a DataTable."""

TABLE = "/dash_ag_grid/"
"""The scripts of AG Grid, 2 MB: `assets/grid.js` loads them with the first table."""


class Dashboard(Dash):
    """Dash whose document loads fewer scripts, from below the root path of the request.

    In the document's template `TABLES` becomes the addresses of AG Grid's scripts, and `ROOT` the
    root path. Dash itself knows only a root path that is the same for all requests.
    """

    def interpolate_index(self, *, scripts: str = "", **parts: Any) -> str:  # type: ignore[override]
        """The document; the arguments are its parts, as Dash names them."""
        tags = scripts.splitlines()
        kept = [tag for tag in tags if not any(name in tag for name in (*NEEDLESS, TABLE))]
        table = "".join(tag for tag in tags if TABLE in tag)
        root = root_path.get()
        whole: Callable[..., str] = super().interpolate_index
        index = whole(scripts="\n".join(kept), **parts)
        for own, below in (
            ("TABLES", " ".join(f"{root}{address}" for address in tables(table))),
            ("ROOT", root),
            ('="/_dash-', f'="{root}/_dash-'),
            ('="/assets/', f'="{root}/assets/'),
            (r'"requests_pathname_prefix":"\u002f"', f'"requests_pathname_prefix":"{root}/"'),
        ):
            index = index.replace(own, below)
        return index


async def no_script(_request: Request, error: Exception) -> Response:
    """Respond to a request for a script that no library of Dash has."""
    return PlainTextResponse(f"No such script: {error}", status_code=404)


def tables(tag: str) -> tuple[str, str]:
    """The addresses of AG Grid's two scripts, with their versions.

    Args:
        tag: The script tag of the first, which would load the second when it runs.
    """
    found = re.search(r'src="([^"]*)/dash_ag_grid(\.[^"]*)\.min\.js"', tag)
    if found is None:
        raise RuntimeError(f"dash_ag_grid has no script in {tag!r}; pin the version we know")
    folder, version = found.groups()
    return f"{folder}/dash_ag_grid{version}.min.js", f"{folder}/async-community{version}.js"
