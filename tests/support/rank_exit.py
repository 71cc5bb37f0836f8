"""How a process of a torch.distributed group ends."""

from __future__ import annotations

import atexit
import os
import sys

from torch import distributed


def exit_together() -> None:
    """End this process once every other one is about to, without destroying the group.

    While a group is torn down, gloo's threads may find that a neighbour is gone, and a thread that
    still holds a tensor asks for the lock of an interpreter that is ending. Either aborts the
    process, which has nothing to do with what was tested.
    """
    atexit._run_exitfuncs()  # telemetry delivers its rows here
    store = distributed.distributed_c10d._get_default_store()
    names = [f"exits-{rank}" for rank in range(distributed.get_world_size())]
    store.set(names[distributed.get_rank()], "1")
    store.wait(names)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
