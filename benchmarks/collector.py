"""The collector: steps stored durably per second, bytes per step, and how long its answers take.

Each step carries eight scalars and a histogram of 200 bins. "Stored" means that the collector has
answered, which it does after the commit has reached the disk; the floors commit as often and as
durably (SQLite: executemany, WAL, synchronous=FULL; Postgres: binary COPY of bytes made
beforehand), in the same run and in turn, so the ratio is what HTTP, validation, blocks, rollups
and the tables cost. `python benchmarks/collector.py [ingest|series|longest|list|many ...]`;
`longest` is `series` with a run of 10^7 steps more; it takes minutes and 1.5 GB, so name it.
"""

from __future__ import annotations

import sys
from functools import partial

from collector_load.ingest import ingest
from collector_load.many_writers import many
from collector_load.read_latency import LENGTHS, LONGEST, listing, series
from machine import describe


def main() -> None:
    """Print what is asked for, or everything."""
    parts = {"ingest": ingest, "series": series, "list": listing, "many": many}
    named = parts | {"longest": partial(series, [*LENGTHS, LONGEST])}
    print(describe(), flush=True)
    for name in sys.argv[1:] or parts:
        print(f"\n### {name}\n")
        named[name]()


if __name__ == "__main__":
    main()
