"""What the collector's code must not contain, whatever it does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

import htga_server
from htga_server.app import create_app
from htga_server.settings import Settings
from tests.support.routes import routes

SOURCES = {path: path.read_text() for path in Path(htga_server.__file__).parent.rglob("*.py")}
RUNS_CODE = {"eval", "exec", "compile", "__import__", "os.system", "yaml.load", "torch.load"}
LOADS_CODE = {"pickle", "marshal", "shelve", "dill", "subprocess", "requests", "importlib"}
LOADS_NONE = {"importlib.metadata"}
TAKES_SQL = re.compile(r"(sa\.|^)text$|\bexec_driver_sql$|\bliteral_column$")
CONSTANTS = {"bulk.py", "engines.py"}
"""Where statements are put together: from the names of our tables, and from settings' names."""
BY_NAME = {"getattr", "setattr", "delattr", "globals", "locals", "vars", "attrgetter"}

FIELDS_OF_RUNS = ["getattr(run, field.name)", "getattr(stored, what)", "getattr(new, what)"]


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def code_that_runs_code(source: str) -> list[str]:
    """Modules that load code, and calls that run it."""
    found = [name for name, _ in calls(source) if name in RUNS_CODE]
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names = [name for name in names if name not in LOADS_NONE]
        found += [name for name in names if name.partition(".")[0] in LOADS_CODE]
    return found


def sql_that_is_put_together(source: str) -> list[str]:
    """Calls that take SQL as text, with one that is no constant."""
    return [
        ast.unparse(call)
        for name, call in calls(source)
        if TAKES_SQL.search(name)
        for argument in call.args[:1]
        if not isinstance(argument, ast.Constant)
    ]


def looked_up_by_name(source: str) -> list[str]:
    """Attributes that are got by a name that is no constant: calls of what a request names."""
    return [
        ast.unparse(call)
        for name, call in calls(source)
        if name.rpartition(".")[2] in BY_NAME
        and not (len(call.args) > 1 and isinstance(call.args[1], ast.Constant))
    ]


def test_nothing_is_unpickled_evaluated_or_run() -> None:
    assert {
        path.name: found for path, s in SOURCES.items() if (found := code_that_runs_code(s))
    } == {}


def test_no_text_of_sql_is_put_together_but_from_names_of_our_own() -> None:
    found = {path.name for path, source in SOURCES.items() if sql_that_is_put_together(source)}
    assert found == CONSTANTS


def test_nothing_is_looked_up_by_a_name_that_a_request_could_bring() -> None:
    found = {
        path.name: one for path, source in SOURCES.items() if (one := looked_up_by_name(source))
    }
    assert found == {
        "rules.py": ["getattr(rule, what)"],  # fields that `check` names itself
        "pagination.py": ["getattr(row, self._name)"],  # a column of an order, an enumeration
        "parquet.py": ["getattr(row, column.name)"],  # columns of runs
        "series.py": ["getattr(values, part)"],  # mean, min, max, last
        "store.py": FIELDS_OF_RUNS,
    }


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(x)",
        "from importlib import import_module",
        "eval(x)",
        "import torch\ntorch.load(x)",
    ],
)
def test_control_code_that_runs_code_is_found(source: str) -> None:
    assert code_that_runs_code(source)


@pytest.mark.parametrize(
    "source",
    [
        "sa.text(f'SELECT {x}')",
        "text('SELECT ' + x)",
        "sa.text('SELECT {}'.format(x))",
        "sa.text('SELECT %s' % x)",
        "sa.literal_column(x)",
        "connection.exec_driver_sql(f'SELECT {x}')",
    ],
)
def test_control_sql_that_is_put_together_is_found(source: str) -> None:
    assert sql_that_is_put_together(source)
    assert not sql_that_is_put_together("sa.text('SELECT 1')")


@pytest.mark.parametrize("source", ["getattr(self, name)()", "globals()[name]()", "vars(x)[name]"])
def test_control_a_call_of_what_a_request_names_is_found(source: str) -> None:
    assert looked_up_by_name(source)
    assert not looked_up_by_name("getattr(app.state, 'broker', None)")


def test_the_collector_connects_to_nothing_but_webhooks_by_vetted_address() -> None:
    found = {
        (path.name, name)
        for path, source in SOURCES.items()
        for name, _ in calls(source)
        if re.search(r"httpx|urlopen|open_connection|create_connection|urllib3|aiohttp", name)
    }
    assert found == {("webhook.py", "httpx2.AsyncClient"), ("webhook.py", "httpx2.URL")}


def test_no_body_and_no_parameter_of_the_api_is_a_path(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path))
    described = app.openapi()
    names = {
        name
        for schema in described["components"]["schemas"].values()
        for name in schema.get("properties", {})
    }
    names |= {
        parameter["name"]
        for operations in described["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
    }
    assert len(names) > 50
    suspicious = ("path", "file", "folder", "dir", "filename", "module", "class", "function")
    assert sorted(names & set(suspicious)) == []
    assert not [name for name in names if name.endswith(("_path", "_file", "_dir", "_folder"))]
    whole = {r.path for r in routes(app) if isinstance(r, APIRoute) and ":path}" in r.path}
    assert whole == {"/api/{rest:path}"}  # which is answered with 404, whatever it is
