"""What `put_rows.py` ends with, without any telemetry.

python put_nothing.py ENDING
"""

from __future__ import annotations

import sys

exec(sys.argv[1])  # noqa: S102  a test's own words
