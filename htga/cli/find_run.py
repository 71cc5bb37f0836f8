"""A run by its id, the beginning of its id, or its name."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from htga.cli.formats import as_utf8
from htga_client.errors import Refused
from htga_client.reader import Client
from htga_client.wire import Run

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of its id, or its name.")
]
_MAX_LISTED = 10
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_id(text: str) -> bool:
    """Whether a text is the whole id of a run."""
    return _UUID.fullmatch(text) is not None


def find_run(client: Client, wanted: str) -> Run:
    """The one run that is meant; an id comes before a name, a name before the beginning of an id.

    Raises:
        ValueError: There is none, or there are several; the message lists them.
    """
    wanted = as_utf8(wanted)
    if is_id(wanted):
        try:
            return client.run(wanted.lower())
        except Refused as error:
            if error.status != 404:
                raise
    # The search has no sign for a quotation mark; what is between two of them is found as well.
    part = max(wanted.split('"'), key=len)
    found = client.runs(q=f'"{part}"') if part and "\0" not in part else []
    named = [run for run in found if run.name == wanted]
    begun = [run for run in found if run.id.startswith(wanted.lower())]
    chosen = named or begun
    if not chosen:
        raise ValueError(f"there is no run {wanted!r}; `htga runs ls` lists ids and names")
    if len(chosen) > 1:
        listed = ", ".join(f"{run.id} ({run.project}/{run.name})" for run in chosen[:_MAX_LISTED])
        more = f", and {len(chosen) - _MAX_LISTED} more" if len(chosen) > _MAX_LISTED else ""
        raise ValueError(
            f"{wanted!r} may be any of {len(chosen)} runs: {listed}{more}; name one id"
        )
    return chosen[0]
