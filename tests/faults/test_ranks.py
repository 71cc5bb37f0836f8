"""Many processes log into one run at once; some are killed and resumed."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from htga_client import Client
from htga_client.wire import PREFIX
from tests.faults.test_trainer_killed import deliver
from tests.support.processes import PuttingRows, collecting
from tests.support.seeded_random import rounds, seeded_random

STEPS = 200


def squares(client: Client, run_id: str, rank: int) -> dict[int, float]:
    with httpx2.Client(base_url=client_url(client) + PREFIX) as api:
        answer = api.get(
            f"/runs/{run_id}/series", params={"keys": "square", "rank": rank, "buckets": 5000}
        ).json()
    return dict(zip(answer["step"], answer["keys"]["square"]["last"], strict=True))


def client_url(client: Client) -> str:
    return client._connection.url


@pytest.mark.parametrize("told_apart", [True, False], ids=["by rank", "control: all one rank"])
def test_every_step_of_every_rank_is_stored_once_though_some_were_killed(
    tmp_path: Path, told_apart: bool
) -> None:
    chance, ranks = seeded_random(), rounds(4, 16)
    killed = chance.sample(range(1, ranks), rounds(1, 3))
    with collecting(tmp_path / "data", "--no-dashboard") as collector:
        spool = tmp_path / "spool"
        first = PuttingRows(collector.url, spool, 0, STEPS)
        run_id = first.run_id
        others = {
            rank: PuttingRows(
                collector.url, spool, 400, STEPS, RUN_ID=run_id, RANK=str(rank * told_apart)
            )
            for rank in range(1, ranks)
        }
        last = {rank: others[rank].kill_at(chance.randrange(60, 150)) for rank in killed}
        for rank in killed:
            others[rank] = PuttingRows(
                collector.url, spool, 0, STEPS - last[rank] // 2,
                RUN_ID=run_id, RANK=str(rank * told_apart), FIRST=str(last[rank] // 2),
            )  # fmt: skip
        for process in (first, *others.values()):
            assert process.ended()[0] == 0
        deliver(spool, collector.url)
        with Client(collector.url) as client:
            stored = [squares(client, run_id, rank) for rank in range(ranks)]
            attempts = client.run(run_id).attempt
    assert attempts == ranks + len(killed)
    right = {step: float(step**2) for step in range(STEPS)}
    assert (stored == [right] * ranks) == told_apart


@pytest.mark.parametrize("same_id", [False, True], ids=["same name", "control: same id"])
def test_two_jobs_of_one_name_are_two_runs(tmp_path: Path, same_id: bool) -> None:
    with collecting(tmp_path / "data", "--no-dashboard") as collector:
        first = PuttingRows(collector.url, tmp_path / "spool", 200, 40)
        again = {"RUN_ID": first.run_id} if same_id else {}
        second = PuttingRows(collector.url, tmp_path / "spool", 200, 40, **again)
        assert (first.ended()[0], second.ended()[0]) == (0, 0)
        with Client(collector.url) as client:
            runs = client.runs(project="faults")
    assert {run.name for run in runs} == {"rows"}
    assert len(runs) == (1 if same_id else 2)
    assert all(run.last_step == 39 for run in runs)
