"""The environment variables that HTGA knows."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from htga.cli.output import say

PREFIX = "HTGA_"
OF_CLIENTS = frozenset(
    f"{PREFIX}{name}"
    for name in """
    BUDGET CONFIG DIR EVERY GROUP HISTOGRAMS LAYERS LAYERS_EVERY LAYERS_TOP MODE NAME
    NOISE_BATCHES NOISE_BATCH_SIZE NOISE_EVERY NOTES PROJECT RANKS RESUME RUN_ID SAMPLE
    SPECTRA_EVERY STEP STRICT TAGS TAILS TOKEN UPDATES_EVERY URL
    """.split()  # noqa: SIM905  a list is easier to read as text
)
"""Those of training runs and of readers."""
OF_COMMANDS = frozenset(f"{PREFIX}{name}" for name in ("HOST", "LOG_FORMAT", "LOG_LEVEL", "PORT"))
OF_TESTS = frozenset(f"{PREFIX}{name}" for name in ("CHROMIUM", "FAULTS", "PEERS", "SEED"))


def of_collectors() -> frozenset[str]:
    """Those of a collector; none if it is not installed."""
    try:
        from htga_server.settings import Settings
    except ImportError:
        return frozenset()
    return frozenset(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)


def warn_of_unknown(environment: Mapping[str, str]) -> None:
    """Say on stderr which variables look like ours and are none, and what may be meant."""
    known = OF_CLIENTS | OF_COMMANDS | OF_TESTS
    given = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if not given:
        return  # a collector's settings take long to load
    known |= of_collectors()
    for name in given:
        if name not in known:
            near = get_close_matches(name, sorted(known - OF_TESTS), 1, 0.7)
            meant = f"; do you mean {near[0]}?" if near else ""
            say(f"warning: {name} is no setting of HTGA and changes nothing{meant}")
