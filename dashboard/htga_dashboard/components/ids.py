"""The ids of all components that a callback or a script refers to."""

URL = "url"
PAGE = "page"

THEME = "theme"
THEME_CHOICES = {"auto": "theme-auto", "light": "theme-light", "dark": "theme-dark"}

LIVE = "live"
LIVE_WORD = "live-word"
LIVE_STEP = "live-step"

HELP = "help"
BELL = "bell"
ALERTS = "alerts"
ALERTS_LIST = "alerts-list"

RUNS_BODY = "runs-body"
RUNS_COUNT = "runs-count"
RUNS_GRID = "runs-grid"
RUNS_SEARCH = "runs-search"
RUNS_NEWS = "runs-news"
RUNS_CHANGES = "runs-changes"
RUNS_GROUP = "runs-group"
RUNS_SETTINGS = "runs-settings"
RUNS_HINT = "runs-hint"
RUNS_LIMIT = "runs-limit"
RUNS_MORE = "runs-more"
RUNS_SHOWN = "runs-shown"
RUNS_COMPARE = "runs-compare"
SNIPPET = "snippet"

RUNS_MARKED = "runs-marked"
BULK_TAG = "bulk-tag"
BULK_TAGS = "bulk-tags"
BULK_TAG_SAVE = "bulk-tag-save"
BULK_GROUP = "bulk-group"
BULK_GROUP_NAME = "bulk-group-name"
BULK_GROUP_SAVE = "bulk-group-save"
BULK_ARCHIVE = "bulk-archive"
BULK_DELETE = "bulk-delete"
BULK_UNDO = "bulk-undo"
BULK_DELETED = "bulk-deleted"
BULK_TOAST = "bulk-toast"
BULK_DONE = "bulk-done"

RUN = "run"
RUN_NEWS = "run-news"
RUN_VIEW = "run-view"
RUN_GROWTH = "run-growth"
RUN_REDRAW = "run-redraw"
RUN_HEADING = "run-heading"
RUN_READINGS = "run-readings"
RUN_CARDS = "run-cards"
RUN_EVENTS = "run-events"
RUN_STEPS = "run-steps"
RUN_FIRST = "run-first"
RUN_LAST = "run-last"
RUN_ALL = "run-all"
RUN_CAPTION = "run-caption"

SNAPSHOT = "snapshot"
SNAPSHOT_WINDOW = "snapshot-window"
SNAPSHOT_AT = "snapshot-at"
SNAPSHOT_STEP = "snapshot-step"
SNAPSHOT_LAYER = "snapshot-layer"
SNAPSHOT_K = "snapshot-k"
SNAPSHOT_CAPTION = "snapshot-caption"
SURVIVAL = "survival"
HILL = "hill"
RIDGE = "ridge"

RUN_NOTES = "run-notes"
RUN_REPORT = "run-report"
RUN_FILE = "run-file"

EDIT = "edit"
EDIT_BEFORE = "edit-before"
EDIT_NAME = "edit-name"
EDIT_GROUP = "edit-group"
EDIT_TAGS = "edit-tags"
EDIT_NOTES = "edit-notes"
EDIT_SAVE = "edit-save"
EDIT_ERROR = "edit-error"
EDITED = "edited"

LAYERS = "layers"
LAYERS_SHOWN = "layers-shown"
LAYERS_ROWS = "layers-rows"
LAYERS_AMONG = "layers-among"
LAYERS_CLICK = "layers-click"
LAYERS_ACROSS = "layers-across"
LAYERS_KEY = "layers-key"
LAYERS_FORM = "layers-form"
LAYERS_ORDER = "layers-order"
LAYERS_MATCH = "layers-match"
LAYERS_PINNED = "layers-pinned"
LAYERS_ALL = "layers-all"
LAYERS_TITLE = "layers-title"
LAYERS_CAPTION = "layers-caption"
LAYERS_PLOT = "layers-plot"
LAYERS_CARDS = "layers-cards"


COMPARE_QUERY = "compare-query"
COMPARE_NEWS = "compare-news"
COMPARE_RUNS = "compare-runs"
COMPARE_KEYS = "compare-keys"
COMPARE_X = "compare-x"
COMPARE_SCALE = "compare-scale"
COMPARE_SMOOTHING = "compare-smoothing"
COMPARE_GROUP = "compare-group"
COMPARE_BAND = "compare-band"
COMPARE_LEGEND = "compare-legend"
COMPARE_CHARTS = "compare-charts"
COMPARE_TABLES = "compare-tables"

QUERY_URL = "query-url"
QUERY_ADDRESS = "query-address"
QUERY_SQL = "query-sql"
QUERY_RUN = "query-run"
QUERY_RESULT = "query-result"
QUERY_FILE = "query-file"
STUDY_QUERY = "study-query"
STUDY_NEWS = "study-news"
STUDY_NAME = "study-name"
STUDY_METRIC = "study-metric"
STUDY_TAKE = "study-take"
STUDY_BASELINE = "study-baseline"
STUDY_BETTER = "study-better"
STUDY_BODY = "study-body"
STUDY_CSV = "study-csv"
STUDY_MARKDOWN = "study-markdown"
STUDY_FILE = "study-file"

HEALTH_TICK = "health-tick"
HEALTH_READINGS = "health-readings"
HEALTH_AS_OF = "health-as-of"
RULES = "rules"
RULES_BEAT = "rules-beat"
RULE = "rule"
RULE_TITLE = "rule-title"
RULE_NAME = "rule-name"
RULE_PROJECT = "rule-project"
RULE_KEY = "rule-key"
RULE_KIND = "rule-kind"
RULE_THRESHOLD = "rule-threshold"
RULE_STEPS = "rule-steps"
RULE_LEVEL = "rule-level"
RULE_WEBHOOK = "rule-webhook"
RULE_ENABLED = "rule-enabled"
RULE_SAVE = "rule-save"
RULE_TRY = "rule-try"
RULE_NEW = "rule-new"
RULE_MESSAGE = "rule-message"
RULE_FIRINGS = "rule-firings"
RULE_EDIT = "rule-edit"
RULE_DELETE = "rule-delete"

EXAMPLE = "example"
EXPORT = "export"

CHART = "chart"
FIGURES = "figures"
SECTION = "section"


def chart(name: str) -> dict[str, str]:
    """Id of the graph called `name`."""
    return {"type": CHART, "name": name}


def figures(name: str) -> dict[str, str]:
    """Id of the store for figures of the callback called `name`."""
    return {"type": FIGURES, "name": name}


def section(name: str) -> dict[str, str]:
    """Id of the store that passes the state of the page to a section in view."""
    return {"type": SECTION, "name": name}


def example(name: str) -> dict[str, str]:
    """Id of the button that fills in the example called `name`."""
    return {"type": EXAMPLE, "name": name}


def export(kind: str) -> dict[str, str]:
    """Id of the button that gives a file of that kind."""
    return {"type": EXPORT, "name": kind}


def rule_edit(rule_id: str) -> dict[str, str]:
    """Id of the button that brings a rule into the form."""
    return {"type": RULE_EDIT, "name": rule_id}


def rule_delete(rule_id: str) -> dict[str, str]:
    """Id of the button that deletes a rule."""
    return {"type": RULE_DELETE, "name": rule_id}
