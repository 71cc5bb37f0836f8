"""The id of every component that a callback or the browser's code names."""

URL = "url"
PAGE = "page"

THEME = "theme"
THEME_CHOICES = {"auto": "theme-auto", "light": "theme-light", "dark": "theme-dark"}

LIVE = "live"
LIVE_WORD = "live-word"
LIVE_STEP = "live-step"

RUNS_BODY = "runs-body"
RUNS_COUNT = "runs-count"
RUNS_GRID = "runs-grid"
RUNS_SEARCH = "runs-search"
RUNS_NEWS = "runs-news"
RUNS_CHANGES = "runs-changes"
SNIPPET = "snippet"

RUN = "run"
RUN_NEWS = "run-news"
RUN_VIEW = "run-view"
RUN_REDRAW = "run-redraw"
RUN_HEADING = "run-heading"
RUN_READINGS = "run-readings"
RUN_CARDS = "run-cards"


def chart(name: object) -> dict[str, object]:
    """Id of the graph called `name`; give `dash.ALL` for the graphs of a whole page."""
    return {"type": "chart", "name": name}
