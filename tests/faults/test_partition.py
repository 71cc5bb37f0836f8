"""Machines are cut off from the collector one by one, and come back in another order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from htga_client import Client
from tests.support.network_namespaces import SWITCH_ADDRESS, can_make, network_namespaces
from tests.support.processes import PuttingRows, collecting
from tests.support.seeded_random import rounds, seeded_random

RANKS = 8
STEPS = 200
needs_root = pytest.mark.skipif(not can_make(), reason="needs root, to make network namespaces")


@needs_root
@pytest.mark.parametrize("healed", [True, False], ids=["healed", "control: one stays cut off"])
def test_ranks_that_are_cut_off_and_come_back_deliver_everything_once(
    tmp_path: Path, healed: bool
) -> None:
    chance, steps = seeded_random(), rounds(STEPS, 20 * STEPS)
    ending = f"sender.finish(timeout={90 if healed else 4})"
    with network_namespaces(RANKS) as network:
        flags = ("--no-dashboard", "--insecure", "--host", SWITCH_ADDRESS)
        with collecting(tmp_path / "data", *flags, before=network.command_on()) as collector:

            def begin(rank: int, url: str = collector.url, **env: str) -> PuttingRows:
                folder, before = tmp_path / str(rank), " ".join(network.command_on(rank))
                env |= {"RANK": str(rank)}
                return PuttingRows(url, folder, 50, steps, ending, before=before, **env)

            there = list(range(RANKS))
            if not healed:
                network.cut(there.pop())
            first = begin(0)
            ranks = [first, *(begin(rank, RUN_ID=first.run_id) for rank in range(1, RANKS))]
            for _ in range(rounds(1, 20)):
                cut_off = chance.sample(there, chance.randint(3, len(there)))
                for rank in cut_off:
                    network.cut(rank)
                    time.sleep(chance.uniform(0.05, 0.4))
                chance.shuffle(cut_off)
                for rank in cut_off:
                    network.heal(rank)
                    time.sleep(chance.uniform(0.05, 0.4))
            assert [rank.ended()[0] for rank in ranks] == [0] * RANKS
    with collecting(tmp_path / "data", "--no-dashboard") as dry, Client(dry.url) as client:
        whole = {step: float(step**2) for step in range(steps)}
        complete = []
        for rank in range(RANKS):
            table = client.series(first.run_id, "square", rank=rank, buckets=20_000)
            stored = dict(zip(table["step"].to_pylist(), table["square"].to_pylist(), strict=True))
            assert stored.items() <= whole.items()
            complete.append(stored == whole)
    assert all(complete) == healed
