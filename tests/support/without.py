"""Runs commands without some packages: `without.py PACKAGES COMMANDS`, both as JSON.

Prints for each command its exit status and what it said on stderr, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import io
import json
import sys
from collections.abc import Sequence
from typing import Any


class Missing(importlib.abc.MetaPathFinder):
    """Finds no package of `names`, as if they were not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, *_: Any) -> None:
        """Raise for a missing package; leave all others to Python."""
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Missing(json.loads(sys.argv[1])))
    from htga.cli.main import main

    ended = []
    for command in json.loads(sys.argv[2]):
        said, stdout = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(stdout):
            status = main(command)
        ended.append((status, said.getvalue()))
    print(json.dumps(ended))
