"""The shell around every page: brand, navigation, live status, alerts, help, theme."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components import ids, keyboard_help
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.dialog import dialog, dialog_button
from htga_dashboard.http.root_path import link

THEME_NAMES = {"auto": "Theme of the system", "light": "Light theme", "dark": "Dark theme"}

TABS = {
    "Runs": "/",
    "Compare": "/compare",
    "Experiments": "/experiments",
    "Query": "/query",
    "Health": "/health",
}
"""Names and paths of the pages in the header."""


def layout(
    page: Component | None = None,
    path: str | None = None,
    theme_name: str | None = None,
    *,
    can_log_out: bool = False,
) -> Component:
    """The shell.

    Args:
        page: The page in it.
        path: Path of that page; without one, the browser requests the page once the shell is there.
        theme_name: "light" or "dark"; without one, the browser sends its theme by a callback.
        can_log_out: Whether the browser has a token that it can give up.
    """
    return html.Div(
        [
            dcc.Location(id=ids.URL, refresh="callback-nav", pathname=path),
            dcc.Store(id=ids.THEME, data=theme_name),
            html.A("Skip to the page", href=f"#{ids.PAGE}", className="skip"),
            html.Header(
                [
                    dcc.Link(
                        [html.Span(className="mark"), "HTGA"], href=link("/"), className="brand"
                    ),
                    html.Nav(
                        [
                            dcc.Link(name, href=link(path), className="to-page")
                            for name, path in TABS.items()
                        ]
                    ),
                    html.Div(
                        [
                            html.Span("connecting", id=ids.LIVE_WORD, role="status"),
                            html.Span(id=ids.LIVE_STEP),
                        ],
                        id=ids.LIVE,
                        className="live",
                    ),
                    dialog_button(
                        ids.ALERTS,
                        "",
                        id=ids.BELL,
                        className="bell",
                        title="Alerts of the latest runs",
                        **attributes(aria_label="Alerts"),
                    ),
                    dialog_button(
                        ids.HELP,
                        "?",
                        className="help",
                        title="Help: keys and search",
                    ),
                    *([_log_out()] if can_log_out else []),
                    html.Div(
                        [
                            html.Button(
                                id=id_,
                                className=f"theme {choice}",
                                title=THEME_NAMES[choice],
                                **attributes(aria_label=THEME_NAMES[choice], aria_pressed="false"),
                            )
                            for choice, id_ in ids.THEME_CHOICES.items()
                        ],
                        className="themes",
                        role="group",
                        **attributes(aria_label="Theme"),
                    ),
                ],
                className="shell",
            ),
            html.Main(page, id=ids.PAGE, tabIndex=-1),
            keyboard_help.layout(),
            dialog(ids.ALERTS, "Alerts", html.Ul(id=ids.ALERTS_LIST, className="alerts")),
        ]
    )


def _log_out() -> Component:
    # A form, because a link that changes something could be followed from another site.
    button = html.Button("Log out", className="log-out", type="submit")
    return html.Form(button, action=link("/logout"), method="post")
