"""A process that logs numbered rows, without torch: what the fault tests kill.

    python put_rows.py URL FOLDER RATE COUNT [ENDING]

URL may be "-" for no collector and FOLDER "-" for no disk. Prints the run's id, then for each row
its step and how many rows are in the spool. ENDING is Python code that runs at the end and may use
`sender` and `put`. RUN_ID, FIRST and RANK in the environment continue a run, at another step, as
another rank.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from htga_client import wire
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.sender import Sender

url, folder, rate, count = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
run = wire.NewRun(id=os.environ.get("RUN_ID") or str(uuid7()), project="faults", name="rows")
sender = Sender(
    None if url == "-" else HttpTransport(url),
    run,
    folder=None if folder == "-" else Path(folder),
)
rank = int(os.environ.get("RANK", "0"))


def put(step: int) -> None:
    """Put a row whose content follows from its step."""
    metrics = {"square": float(step * step)}
    sender.put({"step": step, "time": time.time(), "rank": rank, "metrics": metrics})


print(run.id, flush=True)
first = int(os.environ.get("FIRST", "0"))
for step in range(first, first + count):
    put(step)
    print(step, sender._spool.end, flush=True)
    if rate:
        time.sleep(1 / rate)
exec(sys.argv[5] if len(sys.argv) > 5 else "")  # noqa: S102  the test passes it
