"""The path below which a proxy serves the dashboard, such as "/htga"."""

from __future__ import annotations

from contextvars import ContextVar

root_path: ContextVar[str] = ContextVar("root_path", default="")
"""The root path of the current request, without a slash at its end; "" without a proxy."""


def link(path: str) -> str:
    """The address of the page at `path`, as a browser must request it."""
    return root_path.get() + path


def local(path: str) -> str:
    """The path of a page from its address in the browser."""
    root = root_path.get()
    return path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path
