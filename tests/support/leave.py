"""The end of a process of a group."""

from __future__ import annotations

import atexit
import os
import sys

from torch import distributed


def leave_together() -> None:
    """End this process once every other one is as far, without taking gloo apart.

    While a group is torn down, the threads of gloo may meet a neighbour that is gone, and one that
    still holds a tensor asks for the lock of an interpreter that is ending; both abort the process,
    which says nothing of what was tested.
    """
    atexit._run_exitfuncs()  # by which telemetry delivers what waits
    store = distributed.distributed_c10d._get_default_store()
    names = [f"leaves-{rank}" for rank in range(distributed.get_world_size())]
    store.set(names[distributed.get_rank()], "1")
    store.wait(names)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
