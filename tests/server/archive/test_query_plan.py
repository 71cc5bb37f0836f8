"""A query loads what it reads and nothing else, and answers as if it had loaded everything."""

# ruff: noqa: E501, S608  the statements are ours, and read best in one line
from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import httpx2
import pytest

from htga_server.app import create_app
from htga_server.archive import sql as query_of
from htga_server.archive.archived_files import CheckedFiles
from htga_server.archive.query_plan import empty_tables, everything, plan
from htga_server.archive.query_tables import QueryTables
from htga_server.archive.sql import Limits, SqlQuery
from htga_server.problems import ServerError
from htga_server.settings import Settings
from tests.support.in_process import serving
from tests.support.rows import new_run

LIMITS: dict[str, Any] = {"rows": 10**6, "seconds": 60.0, "memory": 2**30, "answer": 2**28}
ID = str(uuid.UUID(int=7))
OTHER = str(uuid.UUID(int=8))


@pytest.fixture(scope="module")
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        empty_tables(connection)
        yield connection


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT 1", {}),
        ("DESCRIBE steps", {}),
        ("SELECT count(*) FROM runs", {"runs": set()}),
        ("SELECT alpha_hat FROM all_steps", {"all_steps": {"alpha_hat"}}),
        ("SELECT alpha_hat FROM steps", {"all_steps": {"alpha_hat", "latest", "layer", "rank"}}),
        ("SELECT value FROM metrics WHERE key = 'loss'", {"all_metrics": {"value", "key", "latest", "rank"}}),
        ("SELECT title FROM events, gaps", {"events": {"title"}, "gaps": set()}),
        ("SELECT name FROM runs WHERE id IN (SELECT run_id FROM events)", {"runs": {"id", "name"}, "events": {"run_id"}}),
    ],
)  # fmt: skip
def test_a_plan_names_the_tables_and_columns(
    sql: str, reads: dict[str, set[str]], scratch: duckdb.DuckDBPyConnection
) -> None:
    found = plan(scratch, sql)
    assert {name: set(scan.columns) for name, scan in found.items()} == reads


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (f"run_id = '{ID}'", {ID}),
        (f"'{ID}' = run_id AND step > 3", {ID}),
        (f"run_id = '{ID}' OR step = 1", None),
        (f"run_id <> '{ID}'", None),
        (f"run = '(run_id = ''{ID}'')'", None),
        (f"upper(run_id) = '{ID}'", None),
        ("true", None),
    ],
)
def test_a_plan_names_a_run_only_if_no_other_is_read(
    where: str, ids: set[str] | None, scratch: duckdb.DuckDBPyConnection
) -> None:
    (scan,) = plan(scratch, f"SELECT step FROM steps WHERE {where}").values()
    assert (scan.run_ids and set(scan.run_ids)) == ids
    assert scan.whole
    both = f"SELECT step FROM layers WHERE {where} UNION ALL FROM (SELECT step FROM steps)"
    (scan,) = plan(scratch, both).values()
    assert (scan.run_ids, scan.whole) == (None, False)
    two = (
        f"SELECT step FROM steps WHERE run_id = '{ID}'"
        f" UNION ALL SELECT step FROM all_steps WHERE run_id = '{OTHER}'"
    )
    (scan,) = plan(scratch, two).values()
    assert scan.run_ids == frozenset({ID, OTHER})


QUERIES = [
    "SELECT * FROM steps ORDER BY ALL",
    "SELECT * FROM layers ORDER BY ALL",
    "SELECT * FROM all_steps ORDER BY ALL",
    "SELECT * FROM metrics ORDER BY ALL",
    "SELECT * FROM all_metrics ORDER BY ALL",
    "SELECT * FROM events ORDER BY ALL",
    "SELECT id, config->>'lr', tags, archived, json_extract(environment, '$.python') FROM runs ORDER BY 1",
    "SELECT count(*), count(histogram), sum(latest::INT) FROM all_steps",
    "SELECT run_id, max(alpha_hat), arg_max(step, alpha_hat) FROM steps GROUP BY ALL ORDER BY ALL",
    f"SELECT s.step, m.value FROM steps s JOIN metrics m USING (run_id, step) WHERE s.run_id = '{ID}' ORDER BY ALL",
    f"SELECT * FROM steps WHERE run_id = '{ID}' AND isfinite(alpha_hat) ORDER BY step DESC LIMIT 3",
    f"SELECT (SELECT max(value) FROM metrics WHERE run_id = r.id) FROM runs r WHERE id <> '{ID}'",
    "SELECT run_id, step FROM steps QUALIFY alpha_hat > 1.2 * avg(alpha_hat) OVER (PARTITION BY run_id) ORDER BY ALL",
    "WITH a AS MATERIALIZED (SELECT * FROM metrics) SELECT count(*) FROM a x JOIN a y USING (run_id, step)",
    "WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < (SELECT max(step) FROM steps)) SELECT max(n) FROM t",
    "SELECT count(*) FROM runs WHERE EXISTS (SELECT 1 FROM all_steps s WHERE s.run_id = runs.id AND s.layer = 'fc')",
    "SELECT * FROM steps WHERE false",
    "SELECT COLUMNS('alpha.*') FROM steps ORDER BY ALL",
    "FROM steps SELECT count(DISTINCT attempt), min(rank), max(rank)",
    "SELECT l.step FROM layers l ANTI JOIN steps s ON l.run_id = s.run_id AND l.step = s.step ORDER BY ALL",
    "SELECT * FROM (SUMMARIZE SELECT step, alpha_hat FROM steps)",
    "SELECT step, hill(histogram, 10), len(histogram_bins(histogram)) FROM steps ORDER BY ALL",
]  # fmt: skip


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs that are live and archived, with layers, ranks and attempts."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data")))
    with (
        serving(app) as transport,
        httpx2.Client(base_url="http://127.0.0.1/api/v1", transport=transport) as api,
    ):
        for number, run_id in enumerate((ID, OTHER, str(uuid.UUID(int=9)))):
            run = new_run(id=run_id, config={"lr": 0.1 * number}, tags=["a", "b"][:number])
            api.post("/runs", json=run)
            for attempt in range(2):
                writer = str(uuid.UUID(int=100 * number + attempt))
                api.post("/runs", json=run | {"writer": writer})
                for rank in range(2):
                    rows = [
                        {
                            "step": step,
                            "layer": layer,
                            "rank": rank,
                            "alpha_hat": number + attempt + 0.1 * step + rank if step else None,
                            "metrics": {} if layer else {"loss": step - attempt},
                        }
                        for step in range(attempt * 2, 5)
                        for layer in ("", "fc")
                    ]
                    api.post(f"/runs/{run_id}/rows", json={"rows": rows})
            api.post(f"/runs/{run_id}/finish", json={})
            if number:
                assert api.post(f"/runs/{run_id}/archive").status_code == 200
        app.state.api = api
        yield app


def run(app: Any, sql: str) -> Any:
    query = SqlQuery(sql, app.state.settings.archive, Limits(**LIMITS))
    read = app.state.database.read_now
    return read(lambda connection: query.run(connection, CheckedFiles())).table


@pytest.mark.parametrize("sql", QUERIES)
def test_an_answer_is_that_of_everything_loaded(
    sql: str, collector: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    planned = run(collector, sql)
    # The plan was right the first time. What is correlated carries every column along.
    assert caplog.text == "" or "EXISTS" in sql
    with monkeypatch.context() as patch:
        patch.setattr(query_of, "plan", lambda *_: everything())
        whole = run(collector, sql)
    assert planned.equals(whole) or repr(planned.to_pylist()) == repr(whole.to_pylist())
    assert planned.num_rows or "false" in sql or "ANTI" in sql or "events" in sql


def test_a_plan_that_names_too_little_is_noticed_and_everything_is_loaded(
    collector: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for sql in ("SELECT sum(alpha_hat), count(*) FROM steps", "SELECT count(*) FROM events"):
        right = run(collector, sql).to_pylist()
        with monkeypatch.context() as patch:
            patch.setattr(query_of, "plan", lambda *_: {})
            assert run(collector, sql).to_pylist() == right
        assert "which its plan does not name" in caplog.text
        caplog.clear()


def test_a_step_of_a_run_has_one_row_whatever_layers_ranks_and_attempts_it_has(
    collector: Any,
) -> None:
    by_step = "SELECT run_id, step, count(*) AS n, max(attempt) AS attempt FROM {} GROUP BY ALL"
    for table, count in (("steps", 4), ("layers", 4), ("metrics", 5)):  # nothing measured at 0
        found = run(collector, by_step.format(table)).to_pylist()
        assert len(found) == 3 * count
        assert {row["n"] for row in found} == {1}
        assert {row["attempt"] for row in found if row["step"] > 1} == {2}
    assert run(collector, "SELECT count(*) AS n FROM all_steps")["n"][0].as_py() == 3 * 2 * 2 * 7


def test_only_what_is_read_is_loaded(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, list[str], int]] = []
    live = QueryTables._live

    def recorded(self: QueryTables, name: str, *rest: Any) -> Any:
        table = live(self, name, *rest)
        loaded.append((name, table.column_names, table.num_rows))
        return table

    monkeypatch.setattr(QueryTables, "_live", recorded)
    run(collector, "SELECT 1")
    run(collector, f"SELECT alpha_hat FROM all_steps WHERE run_id = '{OTHER}'")
    assert loaded == [("all_steps", ["run_id", "step", "alpha_hat"], 0)]
    run(collector, f"SELECT max(alpha_hat) FROM steps WHERE run_id = '{ID}'")
    assert loaded[-1][2] == 2 * (4 + 3)  # two ranks, two attempts, and no layer


def test_what_is_too_much_is_refused_by_its_limit(collector: Any) -> None:
    tables = collector.state.settings.archive
    read = collector.state.database.read_now
    for sql, limits, word in (
        ("SELECT repeat('x', 1000) FROM range(100000)", {"answer": 2**20}, "larger than 1048576"),
        ("SELECT i FROM range(100000000) t(i) ORDER BY random()", {"memory": 2**26}, "emory"),
        ("SELECT count(*) FROM range(1000000) a, range(1000000) b", {"seconds": 0.2}, "0.2 s"),
    ):
        query = SqlQuery(sql, tables, Limits(**LIMITS | limits))
        with pytest.raises(ServerError, match=word):
            read(lambda connection, query=query: query.run(connection, CheckedFiles()))


def test_a_failure_of_duckdb_without_a_reason_is_explained(
    collector: Any,
) -> None:
    """A moving median over a NaN ends DuckDB 2.0 with "std::exception"."""
    values = (
        "SELECT i, CASE WHEN i = 50 THEN 'nan'::DOUBLE ELSE i % 7 END AS v FROM range(300) t(i)"
    )
    moving = "median(v) OVER (ORDER BY i ROWS BETWEEN 20 PRECEDING AND 1 PRECEDING) AS m"
    sql = f"SELECT i FROM (SELECT *, {moving} FROM ({values}) {{}}) WHERE v > 3 * m"
    with pytest.raises(ServerError, match=r"moving median .* isfinite"):
        run(collector, sql.format(""))
    assert run(collector, sql.format("WHERE isfinite(v)")).num_rows
