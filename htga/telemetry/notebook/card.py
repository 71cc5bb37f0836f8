"""The card of a run, which a notebook shows and which changes while the run goes on."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from htga.telemetry.notebook.curve import Curve

ALPHA = "alpha_bar"
LOSSES = ("loss", "train_loss", "train/loss")
MAX_SHOWN = 4
"""Places in a notebook that are kept up to date, the latest ones."""


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Html:
    """Text that a notebook shows as HTML, and anything else as words."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "a run of htga"


class Card:
    """A link to a run's page, its state, and small curves of alpha_bar and of a loss.

    A sender calls `see` and `refresh` on its threads, so that nothing is drawn while training.

    Args:
        url: The run's page; empty if it has none.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._title = ""
        self._state = "running"
        self._curves: dict[str, Curve] = {ALPHA: Curve(ALPHA, "#0b7fc4")}
        self._metric = ""
        self._lock = threading.Lock()
        self._handles: list[Any] = []
        self._shown = ""

    def see(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what is drawn of some rows."""
        with self._lock, contextlib.suppress(Exception):  # a row may hold anything
            for row in rows:
                if not row.get("layer"):
                    self._see(row)

    def refresh(self, outcome: str | None) -> None:
        """Draw anew, where that changes anything.

        Args:
            outcome: How the run ended; None if it goes on.
        """
        self._state = outcome or "running"
        if not self._handles or self.html() == self._shown:
            return
        self._shown = self.html()
        for handle in self._handles:
            with contextlib.suppress(Exception):  # the notebook may be closed
                handle.update(_Html(self._shown))

    def show(self, name: str = "", project: str = "") -> bool:
        """Show the card below the notebook's current cell; False if that fails.

        Args:
            name, project: Of the run; what was shown before if they are left out.
        """
        if name:
            self._title = f"{name} of {project}"
        try:
            from IPython.display import display  # noqa: PLC0415  only in a notebook

            handle = display(_Html(self.html()), display_id=True)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001  whatever a front end does, training goes on
            return False
        self._handles = [*self._handles, handle][-MAX_SHOWN:]
        return True

    def html(self) -> str:
        """The card; no script, and nothing from elsewhere."""
        with self._lock:
            curves = "".join(curve.svg() for curve in self._curves.values())
        title = escape(self._title)
        link = f'<a href="{escape(self._url)}" target="_blank" rel="noopener">{title}</a>'
        return (
            '<div style="font:13px system-ui,sans-serif">'
            f"run {link if self._url else title} · {self._state}<div>{curves}</div></div>"
        )

    def _see(self, row: Mapping[str, Any]) -> None:
        step = row["step"]
        if (alpha := row.get(ALPHA)) is not None:
            self._curves[ALPHA].add(step, float(alpha))
        metrics = dict(row.get("metrics") or ())
        if self._metric not in LOSSES and metrics:
            found = next((name for name in LOSSES if name in metrics), self._metric)
            name = found or next(iter(metrics))
            if name != self._metric:
                self._curves.pop(self._metric, None)
                self._metric = name
                self._curves[name] = Curve(name, "#d2691e")
        if self._metric in metrics:
            self._curves[self._metric].add(step, float(metrics[self._metric]))
