"""The language of a search for runs, as pure functions and through the API on each database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.wire.flat_config import flat
from htga_server.runs.filter import FIELDS, Candidate, keys_of, matches, parse
from tests.support.rows import new_run

CONFIG = {
    "method": "HTGA",
    "optimizer": {"lr": 0.1, "nesterov": True, "betas": [0.9, 0.99]},
    "lr": "warm",
    "größe": "Ärger \u212aelvin",
    "name": "of a setting",
    "empty": {},
}
RUN = Candidate(
    id="0198c0de-0000-7000-8000-000000000001",
    notes="a note of two lines\nand more",
    name="Quiet-Maple",
    project="digits",
    state="running",
    group="warm start",
    tags=("keep", "study:lr"),
    step=1200,
    archived=False,
    config=json.dumps(CONFIG),
    summary=json.dumps({"alpha_bar": 1.5, "val/Acc": 3.0, "loss": "NaN", "grad_norm": "Infinity"}),
)

HOLD = [
    "",
    "maple",
    "QUIET quiet-m",
    "0198c0de",
    '"two lines" and',
    '"warm start"',
    '"optimizer.lr=0.1"',
    "nesterov=true",
    "ärger kelvin",
    '"größe=ärger',
    "state:run",
    "run:maple",
    "project=DIGITS",
    "tag:study tag=keep tags!=kee",
    'group="warm start"',
    "group:start",
    "optimizer.lr=1e-1",
    "lr=warm lr=0.1 lr<1",
    "betas:0.99",
    "step=1200 step>=1200 step<=1.2e3 -step>1200",
    "alpha_bar=1.5 alpha_bar<2 alpha_bar!=1",
    "val/acc=3 val/acc:3",
    "loss=nan -loss<0 -loss>=0",
    "grad_norm>1e300 grad_norm=inf",
    "archived:no archived!=yes",
    "-tag:old -maples -lr>1",
    "name:maple -name:setting",
    "empty={}",
    "missing!=1 -missing:1",
    "-",
    'maple "',
]
FAIL = [
    "mapel",
    '"maple quiet"',
    "-maple",
    "maple state:finished",
    "state=run",
    "tag=study",
    "tag!=keep",
    "lr>0.1 ",
    "lr!=0.1",
    "r=0.1",
    "lr<x",
    "alpha_bar<=nan",
    "step=1_200",
    "missing:1 ",
    "missing<1",
    "loss!=nan",
    "name:setting",
]


WORDS = st.text(st.sampled_from("aAbz01.-=:<>!\"' \\\u212aßä\n"), max_size=12)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), WORDS)
CONFIGS = st.recursive(
    st.dictionaries(WORDS, VALUES, max_size=3),
    lambda inner: st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    return Candidate(
        id=str(uuid.UUID(int=0)),
        notes=draw(WORDS),
        name=draw(WORDS),
        project=draw(WORDS),
        state="running",
        group=draw(WORDS),
        tags=draw(st.lists(WORDS, max_size=3)),
        step=draw(st.none() | st.integers(0, 9)),
        archived=draw(st.booleans()),
        config=json.dumps(draw(CONFIGS)),
        summary=json.dumps(draw(st.dictionaries(WORDS, st.floats(allow_nan=False), max_size=2))),
    )


@pytest.mark.parametrize("search", HOLD)
def test_a_run_matches(search: str) -> None:
    assert matches(parse(search), RUN)


@pytest.mark.parametrize("search", FAIL)
def test_a_run_does_not_match(search: str) -> None:
    assert not matches(parse(search), RUN)


@given(st.text() | WORDS, candidates())
def test_every_text_is_a_search(search: str, run: Candidate) -> None:
    terms = parse(search)
    assert matches(terms, run) in {True, False}
    assert not keys_of(terms) & FIELDS


@given(
    key=st.sampled_from(["", "lr", "a", "ab", "name", "tag", "step", "state"]),
    sign=st.sampled_from([":", "=", "!=", "<", ">", "<=", ">="]),
    text=st.text(st.sampled_from("aAbz01.é"), min_size=1),
    run=candidates(),
)
def test_a_negated_term_holds_for_all_other_runs(
    key: str, sign: str, text: str, run: Candidate
) -> None:
    term = f"{key}{sign}{text}" if key else text
    assert len(parse(term)) == len(parse(f"-{term}")) == 1
    assert matches(parse(f"-{term}"), run) is not matches(parse(term), run)


@given(text=WORDS, run=candidates())
def test_text_is_found_wherever_it_stands(text: str, run: Candidate) -> None:
    own = (run.id, run.notes, run.name, run.project, run.state, run.group, *run.tags)
    settings = [f"{path}={value}" for path, value in flat(json.loads(run.config)).items()]
    everything = [one.lower() for one in (*own, *settings)]
    assert run.contains(text.lower()) == any(text.lower() in one for one in everything)


@pytest.fixture
def sweep(api: httpx2.Client) -> dict[str, str]:
    """Eight runs of two methods, the last the newest; gives their ids by name."""
    made = {}
    for method in ("sgd", "htga"):
        for seed in range(4):
            name = f"{method}-{seed}"
            config = {"method": method, "optimizer": {"lr": 10.0**-seed}}
            body = new_run(name=name, config=config, tags=[f"seed-{seed}", "all"])
            made[name] = api.post("/runs", json=body).json()["id"]
    return made


@pytest.fixture
def search(api: httpx2.Client) -> Callable[..., dict[str, Any]]:
    def ask(q: str, **params: Any) -> dict[str, Any]:
        answer = api.get("/runs", params={"q": q} | params)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found | {"names": [run["name"] for run in found["items"]]}

    return ask


@pytest.mark.usefixtures("sweep")
def test_a_search_goes_over_the_runs_of_all_pages(search: Callable[..., dict[str, Any]]) -> None:
    first = search("-method:htga lr<0.5", limit=2, count=True)
    assert (first["names"], first["total"]) == (["sgd-3", "sgd-2"], 3)
    second = search("-method:htga lr<0.5", limit=2, cursor=first["next"], count=True)
    assert (second["names"], second["next"], second["total"]) == (["sgd-1"], None, None)
    found = search("tag=seed-0", limit=1, count=True)
    assert (found["names"], found["next"] is None, found["total"]) == (["htga-0"], False, 2)


def test_the_total_counts_what_there_is_however_it_is_chosen(
    api: httpx2.Client, sweep: dict[str, str]
) -> None:
    def total(**params: Any) -> int | None:
        answer: int | None = api.get("/runs", params={"limit": 1} | params).json()["total"]
        return answer

    assert total() is None
    assert total(count=True) == len(sweep)
    assert total(count=True, project="none") == 0
    assert total(count=True, tag="all", state="running") == len(sweep)
    assert total(count=True, state="failed", tag="all") == 0
    api.delete(f"/runs/{sweep['sgd-0']}")
    assert total(count=True) == total(count=True, q="lr>0") == len(sweep) - 1


def test_a_name_under_which_no_run_has_a_value_is_told(
    search: Callable[..., dict[str, Any]], sweep: dict[str, str]
) -> None:
    found = search("lrr<1 -optimizer.lr=1 state:running Method:htga -nope:x", limit=1)
    assert (found["names"], found["unknown"]) == ([], ["lrr", "nope"])
    page = search("-nope:x", limit=1)
    assert (page["names"], page["unknown"]) == (["htga-3"], ["nope"])
    assert search("-nope:x", limit=1, cursor=page["next"])["unknown"] == []
    only = search("-nope:x", ids=",".join((sweep["sgd-0"], sweep["htga-0"])))
    assert (only["names"], only["unknown"]) == (["htga-0", "sgd-0"], [])


@pytest.mark.usefixtures("sweep")
def test_no_search_is_an_error_of_the_collector(search: Callable[..., dict[str, Any]]) -> None:
    for q in ('"', "-", "a:", ":=<>!", "\0", "lr<", "%", "x" * 4000, "é" * 99, "1e999<2"):
        search(q, count=True)


def test_a_search_reads_a_config_as_deep_as_the_collector_takes_one(
    api: httpx2.Client, search: Callable[..., dict[str, Any]]
) -> None:
    deep: dict[str, Any] = {"lr": 1}
    for _ in range(60):
        deep = {"a": deep}
    assert api.post("/runs", json=new_run(name="deep", config=deep)).status_code == 201
    too_deep = '{"a":' * 5000 + "1" + "}" * 5000
    body = json.dumps(new_run(config="HERE")).replace('"HERE"', too_deep)
    assert api.post("/runs", content=body).status_code in {400, 422}
    assert search("lr=1")["names"] == ["deep"]
