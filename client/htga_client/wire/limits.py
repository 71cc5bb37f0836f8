"""What a run may hold of each of its parts.

The client keeps to these limits, and the collector leaves out what is beyond them: a part that is
too large never holds up the rest of its run.
"""

from __future__ import annotations

MAX_LABEL = 1024
"""Characters of a project, name, group or tag of a run, and of the name of a layer or metric."""

MAX_NOTES = 65_536
"""Characters of a run's notes."""

MAX_TAGS = 256
"""Tags of a run."""

MAX_START = 64
"""Characters of what the writers of one start have in common."""

MAX_CONFIG_BYTES = 1 << 20
"""Bytes of a run's config as JSON."""

MAX_ENVIRONMENT_BYTES = 1 << 20
"""Bytes of a run's environment as JSON."""

MAX_ROW_METRICS = 256
"""Metrics that a client puts into one row; more of one step become several rows."""

MAX_EVENT = 16_384
"""Characters of an event as JSON."""

MAX_STEP = 2**53
"""Steps are below this number, which is where float64 stops to tell integers apart."""
