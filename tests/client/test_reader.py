from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from htga_client import Client, wire
from htga_client.errors import Refused
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.sender import Sender
from htga_client.wire.histogram import encode
from htga_server.http.server import Server


def log(url: str, *, steps: int = 5, project: str = "p", name: str = "n") -> str:
    new = wire.NewRun(id=str(uuid7()), project=project, name=name, tags=("a",), config={"lr": 0.1})
    sender = Sender(HttpTransport(url), new, linger=0.0)
    for step in range(steps):
        sender.put(
            {
                "step": step,
                "time": 100.0 + step,
                "alpha_hat": math.nan if step == 1 else 1.5 + step,
                "histogram": encode([step + 1], bits=3, first=900),
                "metrics": {"loss": math.inf if step == 2 else 1.0 / (step + 1)},
            }
        )
    assert sender.finish(timeout=30)
    return new.id


@pytest.fixture
def client(collector: Server) -> Iterator[Client]:
    with Client(collector.url) as client:
        yield client


def test_what_was_logged_is_read_back(collector: Server, client: Client) -> None:
    run = client.run(log(collector.url))
    assert (run.state, run.last_step, run.config, run.tags) == ("finished", 4, {"lr": 0.1}, ("a",))
    assert run.summary["alpha_hat"] == 5.5
    table = client.series(run, ["alpha_hat", "loss"])
    assert table.column_names[:2] == ["step", "time"]
    assert set(table.column_names[2:]) == {
        f"{key}{kind}" for key in ("alpha_hat", "loss") for kind in ("", ".mean", ".min", ".max")
    }
    assert table["step"].to_pylist() == [0, 1, 2, 3, 4]
    alpha, loss = table["alpha_hat"].to_pylist(), table["loss"].to_pylist()
    assert math.isnan(alpha.pop(1))
    assert alpha == [1.5, 3.5, 4.5, 5.5]
    assert loss == [1.0, 0.5, math.inf, 0.25, 0.2]
    part = client.series(run, "loss", start=1, stop=3)
    assert part["step"].to_pylist() == [1, 2]


def test_a_key_may_hold_any_character(collector: Server, client: Client) -> None:
    keys = ["a,b", "100%", "50%2C", "x/y z", "ä&=?"]
    new = wire.NewRun(id=str(uuid7()), project="p", name="n")
    sender = Sender(HttpTransport(collector.url), new, linger=0.0)
    sender.put({"step": 0, "metrics": {key: float(i) for i, key in enumerate(keys)}})
    assert sender.finish(timeout=30)
    table = client.series(new.id, keys)
    assert [table[key].to_pylist() for key in keys] == [[float(i)] for i in range(len(keys))]


def test_a_run_is_renamed(collector: Server, client: Client) -> None:
    run_id = log(collector.url)
    changed = client.change(run_id, name="other", tags=["b", "c"])
    assert (changed.name, changed.tags, changed.config) == ("other", ("b", "c"), {"lr": 0.1})
    assert client.run(run_id) == changed


def test_histograms_are_read_back(collector: Server, client: Client) -> None:
    found = client.histograms(log(collector.url))
    assert isinstance(found, wire.Histograms)
    assert [sum(column) for column in found.counts] == [1, 2, 3, 4, 5]
    assert len(found.edges) == len(found.counts[0]) + 1


def test_a_query_gives_a_table(collector: Server, client: Client) -> None:
    run_id = log(collector.url)
    table = client.query(f"SELECT count(*) AS n FROM steps WHERE run_id = '{run_id}'")  # noqa: S608
    assert table["n"].to_pylist() == [5]


def test_runs_are_listed_over_all_pages(collector: Server, client: Client) -> None:
    made = [log(collector.url, steps=1, project="many", name=f"n{i}") for i in range(5)]
    log(collector.url, steps=1, project="other")
    assert [run.id for run in client.runs(project="many")] == made[::-1]
    assert [run.id for run in client.runs(project="many", limit=3)] == made[:1:-1]
    assert [run.name for run in client.runs(q="n3")] == ["n3"]


def test_a_finished_run_is_archived_and_deleted(collector: Server, client: Client) -> None:
    run_id = log(collector.url)
    archive = client.archive(run_id)
    assert archive.run_id == run_id
    assert archive.rows["steps"] == 5
    client.delete(run_id)
    with pytest.raises(Refused, match=run_id) as error:
        client.run(run_id)
    assert error.value.status == 404


def test_the_address_comes_from_the_environment(
    collector: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTGA_URL", collector.url)
    with Client() as client:
        assert client.runs() == []
