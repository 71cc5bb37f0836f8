from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_client.wire import ARROW_STREAM, NewRun, histogram
from htga_server.migrate import migrate
from htga_server.problems import Busy, NotFound
from htga_server.runs import store
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.conftest import in_process_client
from tests.support.rows import new_run, stream

Post = Callable[..., httpx2.Response]
WRITER = str(uuid.UUID(int=1))


def send(
    api: httpx2.Client, run_id: str, rows: Sequence[Mapping[str, Any]], **numbered: Any
) -> dict[str, Any]:
    body, headers = stream(rows, **numbered), {"content-type": ARROW_STREAM}
    answer = api.post(f"/runs/{run_id}/rows", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def series(api: httpx2.Client, run_id: str, keys: str, **other: Any) -> dict[str, Any]:
    answer = api.get(f"/runs/{run_id}/series", params={"keys": keys} | other)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_rows_come_back_as_they_were_sent(api: httpx2.Client, run_id: str, post: Post) -> None:
    rows = [
        {"step": i, "time": 100.0 + i, "alpha_hat": 1.5 + i / 7, "metrics": [("loss", 1 / (i + 1))]}
        for i in range(50)
    ]
    expected = {"accepted": 50, "duplicates": 0, "rejected": [], "next_seq": None}
    assert post(rows).json().items() >= expected.items()
    found = series(api, run_id, "alpha_hat,loss")
    assert found["step"] == list(range(50))
    assert found["time"] == [100.0 + i for i in range(50)]
    assert found["keys"]["alpha_hat"]["last"] == [row["alpha_hat"] for row in rows]
    assert found["keys"]["loss"]["mean"] == [1 / (i + 1) for i in range(50)]


def test_nan_infinity_and_nothing_stay_three_different_things(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    values = [1.0, float("nan"), float("inf"), float("-inf"), None]
    post(
        [
            {"step": i, "alpha_hat": v, "grad_norm": 1.0, "metrics": [("loss", v)]}
            for i, v in enumerate(values)
        ]
    )
    found = series(api, run_id, "alpha_hat,loss")["keys"]
    wanted = [1.0, "NaN", "Infinity", "-Infinity", None]
    assert found["alpha_hat"]["last"] == wanted
    assert found["loss"]["last"] == wanted


def test_a_batch_that_is_sent_again_is_stored_once(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    writer = str(uuid.uuid4())
    rows = [{"step": i, "alpha_hat": float(i)} for i in range(10)]
    assert post(rows, writer=writer).json()["accepted"] == 10
    again = post(rows, writer=writer).json()
    assert (again["accepted"], again["duplicates"], again["next_seq"]) == (0, 10, 10)
    overlap = [{"step": i, "alpha_hat": float(i)} for i in range(5, 15)]
    again = post(overlap, writer=writer, first_seq=5).json()
    assert (again["accepted"], again["duplicates"], again["next_seq"]) == (5, 5, 15)
    assert series(api, run_id, "alpha_hat")["step"] == list(range(15))


def test_a_batch_ahead_of_its_turn_is_refused_and_told_what_is_missing(post: Post) -> None:
    answer = post([{"step": 7, "alpha_hat": 1.0}], writer=str(uuid.uuid4()), first_seq=7)
    assert answer.status_code == 409
    assert answer.json()["expected_seq"] == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=12))
def test_any_order_of_resends_stores_each_row_once(
    api: httpx2.Client, cuts: list[tuple[int, int]]
) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    writer, expected = str(uuid.uuid4()), 0
    for first, size in cuts:
        rows = [{"step": i, "alpha_hat": float(i)} for i in range(first, first + size)]
        answer = api.post(
            f"/runs/{run_id}/rows",
            content=stream(rows, writer=writer, first_seq=first),
            headers={"content-type": ARROW_STREAM},
        )
        if first > expected:
            assert answer.status_code == 409
            assert answer.json()["expected_seq"] == expected
        else:
            receipt = answer.json()
            assert receipt["accepted"] + receipt["duplicates"] == size
            expected = max(expected, first + size)
            assert receipt["next_seq"] == expected
    assert series(api, run_id, "alpha_hat")["step"] == list(range(expected))


def test_a_new_writer_starts_an_attempt_whose_steps_win(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    post([{"step": i, "alpha_hat": 1.0} for i in range(6)], writer=first)
    post([{"step": i, "alpha_hat": 2.0} for i in range(4, 8)], writer=second)
    found = series(api, run_id, "alpha_hat")
    assert found["keys"]["alpha_hat"]["last"] == [1.0] * 4 + [2.0] * 4
    assert api.get(f"/runs/{run_id}").json()["attempt"] == 2
    kept = api.post("/query", json={"sql": "SELECT count(*) FROM all_steps"}).json()["rows"]
    assert kept == [[10]]


def test_the_same_step_sent_twice_is_merged(api: httpx2.Client, run_id: str, post: Post) -> None:
    post([{"step": 3, "alpha_hat": 1.5, "metrics": [("loss", 0.5)]}])
    post([{"step": 3, "gamma": 0.9, "metrics": [("loss", 0.4)]}])
    found = series(api, run_id, "alpha_hat,gamma,loss")["keys"]
    assert [found[key]["last"] for key in ("alpha_hat", "gamma", "loss")] == [[1.5], [0.9], [0.4]]


def test_rows_without_a_place_and_parts_that_cannot_be_kept_are_refused_alone(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    writer = str(uuid.uuid4())
    receipt = post(
        [
            {"step": 0, "alpha_hat": 1.0},
            {"step": -1, "alpha_hat": 1.0},
            {"step": 1, "alpha_hat": 1.0, "histogram": b"junk"},
            {"step": 2, "alpha_hat": 1.0, "layer": "x" * 2000},
            {"step": 3, "alpha_hat": 1.0, "metrics": [("", 1.0), ("loss", 2.0)]},
            {"step": 4, "alpha_hat": 1.0, "rank": -3},
        ],
        writer=writer,
    ).json()
    assert (receipt["accepted"], receipt["next_seq"]) == (4, 6)
    assert [r["row"] for r in receipt["rejected"]] == [1, 5]
    assert "negative" in receipt["rejected"][0]["reason"]
    left_out = [(part["what"], part["name"], part["rows"]) for part in receipt["left_out"]]
    assert sorted(left_out) == [("histogram", "", 1), ("layer", "x" * 128, 1), ("metric", "", 1)]
    assert series(api, run_id, "alpha_hat")["step"] == [0, 1, 3]
    assert series(api, run_id, "loss")["step"] == [3]


def test_json_rows_need_only_a_step(api: httpx2.Client, run_id: str) -> None:
    body = {"rows": [{"step": 7, "alpha_hat": "NaN", "metrics": {"loss": 0.3}}, {"step": 8}]}
    answer = api.post(f"/runs/{run_id}/rows", json=body)
    assert answer.json()["accepted"] == 2
    found = series(api, run_id, "alpha_hat,loss")
    assert found["keys"]["alpha_hat"]["last"] == ["NaN"]
    assert found["keys"]["loss"]["last"] == [0.3]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "words"),
    [
        ("text/plain", b"{}", 415, "Content-Type"),
        (ARROW_STREAM, b"", 422, "Arrow"),
        (ARROW_STREAM, b"junk" * 100, 422, "Arrow"),
        ("application/json", b'{"rows":[{"step":"x"}]}', 422, "rows.0.step"),
        ("application/json", b'{"rows":[{}]}', 422, "rows.0.step"),
        ("application/json", b"not json", 422, "JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_words(
    api: httpx2.Client, run_id: str, content_type: str, body: bytes, status: int, words: str
) -> None:
    answer = api.post(f"/runs/{run_id}/rows", content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_rows_of_an_unknown_run_are_refused(api: httpx2.Client) -> None:
    answer = api.post(f"/runs/{uuid.uuid4()}/rows", json={"rows": [{"step": 1}]})
    assert answer.status_code == 404


def test_layers_and_ranks_are_kept_apart(api: httpx2.Client, run_id: str, post: Post) -> None:
    post(
        [
            {"step": 0, "layer": layer, "rank": rank, "alpha_hat": alpha}
            for layer, rank, alpha in (("", 0, 1.0), ("a", 0, 2.0), ("", 1, 3.0))
        ]
    )
    for layer, rank, alpha in (("", 0, 1.0), ("a", 0, 2.0), ("", 1, 3.0)):
        found = series(api, run_id, "alpha_hat", layer=layer, rank=rank)
        assert found["keys"]["alpha_hat"]["last"] == [alpha]
    assert series(api, run_id, "alpha_hat", layer="none")["step"] == []


def test_two_writers_at_once_lose_nothing(api: httpx2.Client, run_id: str, post: Post) -> None:
    def send(rank: int) -> None:
        writer = str(uuid.uuid4())
        for first in range(0, 200, 20):
            rows = [
                {"step": i, "rank": rank, "alpha_hat": float(i), "metrics": [(f"m{rank}", 1.0)]}
                for i in range(first, first + 20)
            ]
            assert post(rows, writer=writer, first_seq=first).json()["accepted"] == 20

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    for rank in range(4):
        assert series(api, run_id, "alpha_hat", rank=rank)["step"] == list(range(200))


def test_the_summary_holds_the_latest_values(api: httpx2.Client, run_id: str, post: Post) -> None:
    blob = histogram.encode([1, 2], bits=3, first=900)
    post([{"step": i, "alpha_bar": float(i), "histogram": blob} for i in range(3)])
    post([{"step": 3, "metrics": [("loss", float("inf"))]}])
    run = api.get(f"/runs/{run_id}").json()
    assert run["summary"] == {"alpha_bar": 2.0, "loss": "Infinity"}
    assert (run["last_step"], run["metrics"]) == (3, ["loss"])


def test_the_summary_is_of_rank_0_however_far_the_other_ranks_are(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": 1, "alpha_hat": 1.0, "metrics": [("loss", 9.0)]}])
    post([{"step": 500, "rank": 1, "alpha_hat": 7.0, "metrics": [("loss", 7.0)]}])
    post([{"step": 2, "alpha_hat": 2.0, "metrics": [("loss", 8.0)]}])
    run = api.get(f"/runs/{run_id}").json()
    assert run["summary"] == {"alpha_hat": 2.0, "loss": 8.0}
    assert run["last_step"] == 500


def test_a_row_that_comes_late_is_not_the_latest_but_fills_in_what_was_never_measured(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": 5, "alpha_hat": 5.0}])
    post([{"step": 3, "alpha_hat": 3.0, "gamma": 0.3}, {"step": 3, "layer": "a", "xi": 1.0}])
    run = api.get(f"/runs/{run_id}").json()
    assert run["summary"] == {"alpha_hat": 5.0, "gamma": 0.3}
    assert (run["low"]["alpha_hat"], run["high"]["alpha_hat"]) == (3.0, 5.0)


VALUES = st.none() | st.sampled_from([1.0, 2.0, 3.0, float("nan"), float("inf")])
LATE_ROW = st.fixed_dictionaries(
    {"step": st.integers(0, 5), "alpha_hat": VALUES, "gamma": VALUES, "k": st.none() | st.just(7)},
    optional={"metrics": st.lists(st.tuples(st.just("loss"), VALUES), max_size=1)},
)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(LATE_ROW, min_size=1, max_size=4)), max_size=5
    )
)
def test_the_summary_is_the_last_of_the_series_in_whatever_order_rows_come(
    shared_api: httpx2.Client, batches: list[tuple[str, list[dict[str, Any]]]]
) -> None:
    run_id = shared_api.post("/runs", json=new_run()).json()["id"]
    sent = {"a": 0, "b": 0}
    first = ("a", [{"step": 2, "alpha_hat": 1.0, "metrics": [("loss", 1.0)]}])
    for writer, rows in [first, *batches]:
        send(shared_api, run_id, rows, writer=writer * 32, first_seq=sent[writer])
        sent[writer] += len(rows)
    found = series(shared_api, run_id, "alpha_hat,gamma,k,loss")["keys"]
    shown = {key: [v for v in values["last"] if v is not None] for key, values in found.items()}
    summary = shared_api.get(f"/runs/{run_id}").json()["summary"]
    assert summary == {key: values[-1] for key, values in shown.items() if values}


def test_a_gap_that_the_writer_declares_is_kept_and_passed_over(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    writer = str(uuid.uuid4())
    row = {"step": 0, "alpha_hat": 1.0}
    assert post([row], writer=writer).json()["next_seq"] == 1
    told = post([row | {"step": 9}], writer=writer, first_seq=9, gaps=[(1, 9)])
    assert (told.json()["accepted"], told.json()["next_seq"]) == (1, 10)
    again = post([row | {"step": 9}], writer=writer, first_seq=9, gaps=[(1, 9)])
    assert (again.json()["duplicates"], again.json()["next_seq"]) == (1, 10)
    assert api.get(f"/runs/{run_id}/gaps").json() == {
        "items": [{"writer": writer, "first_seq": 1, "end_seq": 9}]
    }
    beyond = post([row | {"step": 20}], writer=writer, first_seq=20, gaps=[(12, 20)])
    assert (beyond.status_code, beyond.json()["expected_seq"]) == (409, 10)
    assert beyond.json()["type"] == "sequence-gap"


def test_other_rows_under_the_same_numbers_are_a_conflict_and_change_nothing(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    writer = str(uuid.uuid4())
    post([{"step": 1, "time": 5.0, "alpha_hat": 1.0}], writer=writer)
    other = post([{"step": 2, "time": 6.0, "alpha_hat": 2.0}], writer=writer)
    assert (other.status_code, other.json()["type"]) == (409, "sequence-conflict")
    assert series(api, run_id, "alpha_hat")["step"] == [1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_packed_body_is_unpacked_as_far_as_is_allowed(
    api: httpx2.Client, run_id: str, encoding: str
) -> None:
    def send(body: bytes) -> httpx2.Response:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, encoding) as out:
            out.write(body)
        headers = {"content-type": ARROW_STREAM, "content-encoding": encoding}
        packed = sink.getvalue().to_pybytes()
        return api.post(f"/runs/{run_id}/rows", content=packed, headers=headers)

    assert send(stream([{"step": 0, "alpha_hat": 1.0}])).json()["accepted"] == 1
    bomb = send(bytes(200 * 2**20))
    assert (bomb.status_code, bomb.json()["type"]) == (413, "too-large")
    junk = api.post(
        f"/runs/{run_id}/rows",
        content=b"junk",
        headers={"content-type": ARROW_STREAM, "content-encoding": encoding},
    )
    assert (junk.status_code, encoding in junk.json()["detail"]) == (422, True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("size", [2**33, 2**62, 2**64 - 5])
def test_a_size_that_a_packed_body_says_of_itself_is_not_believed(
    api: httpx2.Client, run_id: str, size: int
) -> None:
    # A frame of zstd: its size in eight bytes, in one segment, and one block of a repeated byte.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0xE0]) + size.to_bytes(8, "little")
    block = (1 | 1 << 1 | 100_000 << 3).to_bytes(3, "little") + b"a"
    headers = {"content-type": ARROW_STREAM, "content-encoding": "zstd"}
    answer = api.post(f"/runs/{run_id}/rows", content=frame + block, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_encoding_within_an_encoding_is_refused(api: httpx2.Client, run_id: str) -> None:
    headers = {"content-type": ARROW_STREAM, "content-encoding": "gzip, gzip"}
    answer = api.post(f"/runs/{run_id}/rows", content=b"", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "unsupported-encoding")


@pytest.mark.parametrize(
    ("limits", "extra", "refused"),
    [
        ({"layers_per_run": 1}, {"layer": "b", "alpha_hat": 1.0}, [("layer", "b")]),
        ({"metrics_per_run": 1}, {"metrics": [("b", 1.0), ("a", 2.0)]}, [("metric", "b")]),
        (
            {"metrics_per_run": 2},
            {"metrics": [("b", 1.0), ("a", 2.0), ("c", 1.0), ("d", 1.0)]},
            [("metric", "c"), ("metric", "d")],
        ),
    ],
)
def test_a_name_beyond_a_runs_limit_is_refused_and_named_and_its_row_is_stored(
    settings: Settings,
    limits: dict[str, int],
    extra: dict[str, Any],
    refused: list[tuple[str, str]],
) -> None:
    plain: dict[str, Any] = {"layer": "", "alpha_hat": 1.0, "metrics": [("a", 1.0)]}
    with in_process_client(settings.model_copy(update=limits)) as api:
        run_id = api.post("/runs", json=new_run()).json()["id"]
        assert send(api, run_id, [{"step": 0} | plain], writer=WRITER)["left_out"] == []
        for first in (1, 3, 5):  # for good, and not only in the batch that brought the name
            rows = [{"step": first} | plain | extra, {"step": first + 1} | plain]
            for accepted in (2, 0):  # and the same again, as after a lost answer
                receipt = send(api, run_id, rows, writer=WRITER, first_seq=first)
                assert (receipt["accepted"], receipt["rejected"]) == (accepted, [])
                if accepted:
                    named = [(part["what"], part["name"]) for part in receipt["left_out"]]
                    assert named == refused
                    assert all("at most" in part["reason"] for part in receipt["left_out"])
        found = series(api, run_id, "a")
        whole = series(api, run_id, "alpha_hat")
        names = set(api.get(f"/runs/{run_id}").json()["metrics"])
    assert found["step"] == [0, 1, 2, 3, 4, 5, 6]
    assert whole["step"] == ([0, 2, 4, 6] if "layer" in extra else [0, 1, 2, 3, 4, 5, 6])
    assert not names & {name for _, name in refused}


def test_a_writer_beyond_a_runs_limit_has_its_rows_stored_in_the_latest_attempt(
    settings: Settings,
) -> None:
    with in_process_client(settings.model_copy(update={"writers_per_run": 1})) as api:
        new = new_run(writer=WRITER)
        run_id = api.post("/runs", json=new).json()["id"]
        writer = str(uuid.uuid4())
        (change,) = api.post("/runs", json=new | {"writer": writer}).json()["changes"]
        assert "at most 1 writers" in change
        for first in (0, 2, 2):
            event = '{"kind": "alert", "title": "t"}'
            rows = [{"step": first + i, "alpha_hat": 2.0, "event": event} for i in range(2)]
            receipt = send(api, run_id, rows, writer=writer, first_seq=first)
            assert (receipt["accepted"], receipt["rejected"]) == (2, [])
            ((what, reason),) = [(part["what"], part["reason"]) for part in receipt["left_out"]]
            assert (what, reason) == ("writer", change)
        assert send(api, run_id, [{"step": 9, "alpha_hat": 1.0}], writer=WRITER)["left_out"] == []
        assert series(api, run_id, "alpha_hat")["step"] == [0, 1, 2, 3, 9]
        assert len(api.get(f"/runs/{run_id}/events").json()["items"]) == 4
        assert api.get(f"/runs/{run_id}").json()["attempt"] == 1


def test_a_receipt_names_twenty_refused_names_and_counts_the_others(settings: Settings) -> None:
    with in_process_client(settings.model_copy(update={"metrics_per_run": 1})) as api:
        run_id = api.post("/runs", json=new_run()).json()["id"]
        metrics = [(f"m{i}", 1.0) for i in range(500)]
        receipt = send(api, run_id, [{"step": 0, "metrics": metrics}], writer=WRITER)
        assert api.get(f"/runs/{run_id}").json()["summary"] == {"m0": 1.0}
    assert receipt["accepted"] == 1
    assert len(receipt["left_out"]) == 21
    assert sum(part["rows"] for part in receipt["left_out"]) == 499


def test_requests_that_wait_together_are_stored_together_and_each_has_its_own_end(
    settings: Settings,
) -> None:
    database = Database(settings.url)
    migrate(database)
    commits = []
    sa.event.listen(database._writing, "commit", lambda _: commits.append(1))
    release, taken = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        taken.set()
        release.wait(10)

    async def scenario() -> list[Any]:
        held = asyncio.ensure_future(database.write(hold))
        await asyncio.to_thread(taken.wait, 10)

        def refuse(_: sa.Connection) -> None:
            raise NotFound("nothing")

        def fail(_: sa.Connection) -> None:
            raise ZeroDivisionError

        def register(connection: sa.Connection) -> str:
            new = NewRun(id=str(uuid.uuid4()), project="p", name="n")
            return store.register(connection, new, settings)[0].id

        first = [database.write(work) for work in (register, refuse, register)]
        waiting = [asyncio.ensure_future(one) for one in first]
        await asyncio.sleep(0)
        release.set()
        ends = await asyncio.gather(held, *waiting, return_exceptions=True)
        commits_shared = len(commits)
        broken = [asyncio.ensure_future(database.write(work)) for work in (fail, register)]
        ends += await asyncio.gather(*broken, return_exceptions=True)
        return [commits_shared, *ends]

    commits_shared, _, one, refused, two, failed, three = asyncio.run(scenario())
    assert commits_shared == 2
    assert [type(refused), type(failed)] == [NotFound, ZeroDivisionError]
    stored = database.read_now(store.page).items
    assert {run.id for run in stored} == {one, two, three}
    database.close()


def test_more_requests_than_can_wait_are_put_off(settings: Settings) -> None:
    database = Database(settings.url, max_waiting=1)
    release, taken = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        taken.set()
        release.wait(10)

    async def scenario() -> None:
        held = asyncio.ensure_future(database.write(hold))
        await asyncio.to_thread(taken.wait, 10)
        waits = asyncio.ensure_future(database.write(lambda _: None))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await database.write(lambda _: None)
        release.set()
        await asyncio.gather(held, waits)

    asyncio.run(scenario())
    database.close()
