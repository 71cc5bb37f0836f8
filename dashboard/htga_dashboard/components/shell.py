"""What every page has around it: brand, navigation, live state and choice of theme."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.components import keyboard_help as keys
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.dialog import dialog, opener

THEME_NAMES = {"auto": "Theme of the system", "light": "Light theme", "dark": "Dark theme"}

TABS = {
    "Runs": "/",
    "Compare": "/compare",
    "Experiments": "/experiments",
    "Query": "/query",
    "Health": "/health",
}
"""The pages that the header leads to."""


def layout(
    page: Component | None = None, path: str | None = None, theme_name: str | None = None
) -> Component:
    """The shell.

    Args:
        page: What is in it.
        path: Where that is; without one, the page is asked for as soon as the shell is there.
        theme_name: What the browser wants, "light" or "dark"; without one it says so by a callback.
    """
    return html.Div(
        [
            dcc.Location(id=ids.URL, refresh="callback-nav", pathname=path),
            dcc.Store(id=ids.THEME, data=theme_name),
            html.A("Skip to the page", href=f"#{ids.PAGE}", className="skip"),
            html.Header(
                [
                    dcc.Link([html.Span(className="mark"), "HTGA"], href="/", className="brand"),
                    html.Nav(
                        [
                            dcc.Link(name, href=href, className="to-page")
                            for name, href in TABS.items()
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
                    opener(
                        ids.ALERTS,
                        "",
                        id=ids.BELL,
                        className="bell",
                        title="Alerts of the latest runs",
                        **attributes(aria_label="Alerts"),
                    ),
                    opener(
                        ids.HELP,
                        "?",
                        className="help",
                        title="Help: keys and search",
                    ),
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
            keys.layout(),
            dialog(ids.ALERTS, "Alerts", html.Ul(id=ids.ALERTS_LIST, className="alerts")),
        ]
    )
