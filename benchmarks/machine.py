"""What the numbers were measured on, for the head of a table."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Processor, number of cores, memory and Python in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next(
            (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), model
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = ""
    if hasattr(os, "sysconf"):
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        memory = f", {gib:.0f} GiB"
    return f"{model}, {cores} cores{memory}, Python {platform.python_version()}"
