from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htga_client.wire import ARROW_STREAM, histogram
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings

Post = Callable[..., httpx2.Response]
BLOB = histogram.encode([3, 1], bits=3, first=900)


@pytest.fixture
def rows() -> list[dict[str, object]]:
    values = [float("nan"), float("inf"), None]
    return [
        {
            "step": i,
            "time": float(i),
            "alpha_hat": values[i] if i < 3 else i / 3,
            "k": i,
            "histogram": BLOB,
            "metrics": [("loss", 1 / (i + 1))],
        }
        for i in range(100)
    ]


def ask(api: httpx2.Client, sql: str) -> list[dict[str, object]]:
    answer = api.post("/query", json={"sql": sql}, headers={"accept": ARROW_STREAM})
    assert answer.status_code == 200, answer.text
    return list(pa.ipc.open_stream(answer.content).read_all().to_pylist())


def test_an_archived_run_answers_the_same_queries_with_the_same_rows(
    api: httpx2.Client, run_id: str, post: Post, rows: list[dict[str, object]]
) -> None:
    post(rows)
    api.post(f"/runs/{run_id}/finish", json={})
    sql = "SELECT * FROM steps JOIN metrics USING (run_id, step, rank, attempt) ORDER BY step"
    before = ask(api, sql)
    archive = api.post(f"/runs/{run_id}/archive").json()
    assert archive["rows"] == {"steps": 100, "metrics": 100}
    assert api.get("/archive").json() == {"items": [run_id], "next": None}
    assert api.get(f"/runs/{run_id}").json()["archived"] is True
    after = ask(api, sql)
    assert len(after) == 100
    assert json.dumps(after, default=repr) == json.dumps(before, default=repr)


def test_the_manifest_tells_the_truth_about_the_files(
    api: httpx2.Client, run_id: str, post: Post, settings: Settings, rows: list[dict[str, object]]
) -> None:
    post(rows)
    api.post(f"/runs/{run_id}/finish", json={})
    api.post(f"/runs/{run_id}/archive")
    folder = settings.archive / run_id
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, told in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert (told["bytes"], told["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    steps = pq.read_table(folder / manifest["tables"]["steps"])
    assert steps.num_rows == manifest["rows"]["steps"] == 100
    assert steps["histogram"][5].as_py() == BLOB
    assert [str(v) for v in steps["alpha_hat"][:4].to_pylist()] == ["nan", "inf", "None", "1.0"]
    assert sorted(path.name for path in settings.archive.iterdir()) == [run_id]


def test_only_a_finished_run_is_archived(api: httpx2.Client, run_id: str) -> None:
    answer = api.post(f"/runs/{run_id}/archive")
    assert (answer.status_code, "running" in answer.json()["detail"]) == (409, True)


def test_rows_after_the_archive_are_not_missed(
    api: httpx2.Client, run_id: str, post: Post, rows: list[dict[str, object]]
) -> None:
    post(rows)
    api.post(f"/runs/{run_id}/finish", json={})
    api.post(f"/runs/{run_id}/archive")
    post([{"step": 100, "alpha_hat": 1.0}], writer=str(uuid.uuid4()))
    assert ask(api, "SELECT count(*) AS n FROM steps") == [{"n": 101}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT 1; SELECT 2",
        "DROP TABLE runs",
        "COPY (SELECT 1) TO 'out.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM sqlite_scan('htga.db', 'runs')",
        "ATTACH 'other.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "",
    ],
)
def test_a_query_reads_the_three_tables_and_does_nothing_else(api: httpx2.Client, sql: str) -> None:
    answer = api.post("/query", json={"sql": sql})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


def test_a_query_that_takes_too_long_is_stopped(settings: Settings) -> None:
    quick = settings.model_copy(update={"query_seconds": 0.2})
    with Server(create_app(quick)).background() as server:
        answer = httpx2.post(
            server.url + "/api/v1/query",
            json={"sql": "SELECT count(*) FROM range(10000000) a, range(10000000) b"},
            timeout=60,
        )
    assert (answer.status_code, "longer than 0.2 s" in answer.json()["detail"]) == (422, True)


def test_queries_wait_for_their_turn_and_leave_connections_to_other_reads(
    settings: Settings,
) -> None:
    few = settings.model_copy(update={"query_seconds": 1.0, "queries_at_once": 2})
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    with (
        Server(create_app(few)).background() as server,
        httpx2.Client(base_url=server.url + "/api/v1", timeout=120) as api,
        ThreadPoolExecutor(40) as threads,
    ):
        asked = [threads.submit(api.post, "/query", json={"sql": slow}) for _ in range(30)]
        other = [threads.submit(api.get, "/runs") for _ in range(8)]
        assert {one.result().status_code for one in other} == {200}
        said = Counter((one.result().status_code, one.result().json()["type"]) for one in asked)
        assert set(said) == {(422, "invalid"), (503, "busy")}
        later = (api.post("/query", json={"sql": "SELECT 1"}) for _ in range(60))
        assert any(one.is_success and one.json()["rows"] == [[1]] for one in later)
