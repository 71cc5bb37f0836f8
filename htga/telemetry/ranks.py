"""The rank of this process among those that train one model."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from torch import Tensor, distributed
from torch.optim import Optimizer

from htga_client.console import logger, notify
from htga_client.run_ids import random_name, uuid7

AGREEMENT_SECONDS = 300.0
FIRST_ID_SECONDS = 10.0
POLL_SECONDS = 0.02
STORE_TIMEOUT = timedelta(seconds=10)
_NAMESPACE = uuid.UUID("6f0cbd5e-0b51-4f0e-9d1c-2f4f5f1f6a5d")
_calls: dict[str, Iterator[int]] = {"all": itertools.count(), "first": itertools.count()}


@dataclass(frozen=True, slots=True)
class Ranks:
    """The position of this process among those that train together.

    Attributes:
        rank: Rank of this process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Ranks:
        """The ranks of the process group, or of the environment that torchrun sets."""
        if _has_group():
            return cls(distributed.get_rank(), distributed.get_world_size())
        try:
            return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        except (KeyError, ValueError):
            return cls()


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What all ranks of a run must agree on.

    Attributes:
        run_id: UUID of the run.
        name: Its label.
        start: What the writers of this start or resume have in common, by which the collector
            counts them as one attempt; None if it cannot be agreed on.
    """

    run_id: str
    name: str
    start: str | None


def agreed(run_id: str, name: str, ranks: Ranks) -> RunIdentity:
    """The identity of a run of which every rank logs its own rows; what is empty is generated.

    They are rank 0's, which it leaves in the store of torchrun or of the process group, so every
    rank must call this equally often. Without a store the id is derived from torchrun's job id.

    Raises:
        ValueError: There is no store, nor an id that all ranks know; or rank 0 does not call this.
    """
    if ranks.world == 1:
        return RunIdentity(run_id or str(uuid7()), name or random_name(), str(uuid7()))
    key = f"all-{next(_calls['all'])}"
    store = shared_store()
    if store is not None and ranks.rank == 0:
        own = RunIdentity(run_id or str(uuid7()), name or random_name(), str(uuid7()))
        store.set(key, json.dumps([own.run_id, own.name, own.start]))
        return own
    if store is not None:
        found = _read(store, key, seconds=AGREEMENT_SECONDS)
        if found is None:
            raise ValueError(
                f"rank 0 has not called attach within {AGREEMENT_SECONDS} s; with ranks 'all' it "
                "must be called on every rank"
            )
        return RunIdentity(*json.loads(found))
    job = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if not run_id and job == "none":
        raise ValueError(
            "ranks 'all' needs an id that all ranks know: call init_process_group before attach, "
            "give run_id, or start torchrun with --rdzv-id or --standalone"
        )
    run_id = run_id or str(uuid.uuid5(_NAMESPACE, job))
    return RunIdentity(run_id, name or run_id[:8], None)


class FirstRanksRun:
    """The id of the run that rank 0 records, for the other ranks; each makes one at each `attach`.

    No rank waits for another while it attaches: rank 0 leaves the id in the store, and another
    rank looks for it there when it is asked for.

    Args:
        ranks: The position of this process.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._rank = ranks.rank
        self._key = f"first-{next(_calls['first'])}"
        self._patience = FIRST_ID_SECONDS
        self._store = shared_store() if ranks.world > 1 else None
        self._has_warned = False

    def tell(self, run_id: str) -> None:
        """Leave the id for the other ranks."""
        if self._store is not None:
            with contextlib.suppress(Exception):  # its owner may be gone
                self._store.set(self._key, run_id)

    def find(self) -> str:
        """The id, or an empty text with one warning; only the first call waits."""
        seconds, self._patience = self._patience, 0.0
        found = None if self._store is None else _read(self._store, self._key, seconds=seconds)
        if found is None and not self._has_warned:
            self._has_warned = True
            reason = (
                "there was neither torchrun nor a process group when attach was called"
                if self._store is None
                else "rank 0 has not called attach, or has ended"
            )
            notify(
                f"rank {self._rank} does not know the id of rank 0's run: {reason}",
                level=logging.WARNING,
            )
        return found or ""


def shared_store() -> Any:
    """The `Store` that all ranks reach, torchrun's or else that of the process group, or None."""
    if not distributed.is_available():
        return None
    c10d: Any = distributed
    try:
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            return _torchruns_store()
        if distributed.is_initialized():
            group = c10d.distributed_c10d._get_default_store()  # noqa: SLF001
            return c10d.PrefixStore("htga", group)
    except Exception as error:  # noqa: BLE001  a backend without a store, an agent that is gone
        logger.debug("the ranks have no store in common: %r", error)
    return None


@cache
def _torchruns_store() -> Any:
    c10d: Any = distributed
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = c10d.TCPStore(address, port, is_master=False, timeout=STORE_TIMEOUT)
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return c10d.PrefixStore(f"htga-{restart}", store)


def _read(store: Any, key: str, *, seconds: float) -> str | None:
    """A value once another rank has left it; None if that takes longer."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(Exception):  # the store ends with the process that holds it
        # `wait` of a store would write to stderr when the time is up.
        while not store.check([key]):
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)
        return bytes(store.get(key)).decode()
    return None


def is_sharded(optimizer: Optimizer) -> bool:
    """Whether each process holds only parts of the parameters, as under FSDP2."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return any(hasattr(parameter, "to_local") for parameter in parameters)


def own_part(gradient: Tensor) -> Tensor:
    """The entries that this process counts, such that all processes count each entry once."""
    if not hasattr(gradient, "to_local"):
        return gradient if Ranks.current().rank == 0 else gradient.new_empty(0)
    distributed_tensor: Any = gradient
    mesh, placements = distributed_tensor.device_mesh, distributed_tensor.placements
    copies = [
        mesh.get_local_rank(dim) for dim, kind in enumerate(placements) if kind.is_replicate()
    ]
    local: Tensor = distributed_tensor.to_local()
    return local.new_empty(0) if any(copies) else local


def total(values: Tensor) -> Tensor:
    """The sum over all ranks, in place; every rank must call it."""
    distributed.all_reduce(values)
    return values


def _has_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
