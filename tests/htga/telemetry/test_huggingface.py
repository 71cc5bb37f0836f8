from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from htga_client import Client
from htga_server.http.server import Server

if TYPE_CHECKING:  # It takes seconds, in every process that collects this file.
    from transformers import Trainer

    from htga.telemetry.huggingface import TelemetryCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the library's own
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(1000, 2)
        self.broken_at = -1
        self.calls = 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if self.calls == self.broken_at:
            raise RuntimeError("out of memory")
        self.calls += 1
        return {"loss": self.net(x).square().mean()}


class Data(torch.utils.data.Dataset[dict[str, Tensor]]):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.randn(1000, generator=torch.Generator().manual_seed(index))}


def trainer(folder: Path, *callbacks: TelemetryCallback, **options: Any) -> Trainer:
    from transformers import Trainer, TrainingArguments  # noqa: PLC0415

    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        per_device_train_batch_size=4,
        logging_steps=1,
        learning_rate=0.05,
        max_grad_norm=0.5,
        save_steps=4,
        remove_unused_columns=False,
        **{"num_train_epochs": 1} | options,
    )
    return Trainer(
        Model(), arguments, train_dataset=Data(), eval_dataset=Data(), callbacks=[*callbacks]
    )


@pytest.fixture
def telemetry(collector: Server) -> Iterator[Callable[..., TelemetryCallback]]:
    from htga.telemetry.huggingface import TelemetryCallback  # noqa: PLC0415

    made: list[TelemetryCallback] = []

    def make(**options: Any) -> TelemetryCallback:
        made.append(TelemetryCallback(url=collector.url, project="huggingface", **options))
        return made[-1]

    yield make
    for callback in made:
        if callback.run is not None:
            callback.run.finish(timeout=20)


def run_of(callback: TelemetryCallback) -> str:
    assert callback.run is not None
    assert callback.run.flush(20)
    return callback.run.id


def test_a_training_is_shown_with_what_the_trainer_logs(
    collector: Server, telemetry: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    callback = telemetry(layers_every=4)
    trainer(tmp_path, callback, gradient_accumulation_steps=2).train()
    with Client(collector.url) as client:
        run = client.run(run_of(callback))
        table = client.series(run.id, ["grad_norm", "loss", "learning_rate"]).to_pydict()
        layers = client.series(run.id, ["alpha_hat"], layer="net.weight")
    assert (run.state, run.config["learning_rate"]) == ("finished", 0.05)
    assert table["step"] == list(range(8))
    assert table["grad_norm"] == pytest.approx([0.5] * 8, rel=1e-4)  # what clipping has left
    assert all(loss is not None for loss in table["loss"])
    assert table["learning_rate"][0] == pytest.approx(0.05)
    assert layers["step"].to_pylist() == [0, 4]


def test_a_training_that_goes_on_from_a_checkpoint_continues_the_run(
    collector: Server, telemetry: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    first = telemetry()
    trainer(tmp_path, first, max_steps=8).train()
    again = telemetry()
    trainer(tmp_path, again, max_steps=16).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-8")
    )
    assert run_of(again) == run_of(first)
    with Client(collector.url) as client:
        run = client.run(run_of(first))
        table = client.series(run.id, ["alpha_hat"])
    assert (run.state, run.attempt) == ("finished", 2)
    assert table["step"].to_pylist() == list(range(16))


def test_training_anew_begins_a_run_anew_and_ends_the_one_that_broke(
    collector: Server, telemetry: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    callback = telemetry()
    training = trainer(tmp_path, callback, max_steps=4)
    model = training.model
    assert isinstance(model, Model)
    model.broken_at = 2
    with pytest.raises(RuntimeError, match="out of memory"):
        training.train()
    first = run_of(callback)
    model.broken_at = -1
    training.train()
    with Client(collector.url) as client:
        assert client.run(first).state == "failed"
        assert client.run(run_of(callback)).state == "finished"
        assert client.series(first, ["alpha_hat"])["step"].to_pylist() == [0, 1]


@pytest.mark.usefixtures("database_url")
def test_a_checkpoint_keeps_no_secret() -> None:
    from htga.telemetry.huggingface import TelemetryCallback  # noqa: PLC0415

    url = "http://someone:secret@127.0.0.1:8642"
    options = {"token": "secret", "project": "mine", "url": url, "config": {"key": "secret"}}
    callback = TelemetryCallback(model=nn.Linear(1, 1), **options)
    assert callback.state()["args"] == {"project": "mine", "url": "http://127.0.0.1:8642"}


def steps(client: Client, run_id: str) -> list[int]:
    found: list[int] = client.series(run_id, ["alpha_hat"])["step"].to_pylist()
    return found


def test_what_is_logged_after_a_training_is_kept_in_its_run_which_has_ended(
    collector: Server, telemetry: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    callback = telemetry()
    training = trainer(tmp_path, callback, max_steps=4)
    training.train()
    run_id = run_of(callback)
    with Client(collector.url) as client:
        assert client.run(run_id).state == "finished"
        training.evaluate()
        training.predict(Data())
        assert callback.run is not None
        callback.run.log(by_hand=1.0)
        assert run_of(callback) == run_id
        run = client.run(run_id)
        keys = ["alpha_hat", "eval_runtime", "test_runtime", "by_hand"]
        last = client.series(run_id, keys).to_pylist()[-1]
    assert (run.state, run.attempt) == ("finished", 1)
    assert None not in last.values()
    assert last["step"] == 3


@pytest.mark.parametrize(
    ("restores", "other"), [(False, {}), (True, {}), (False, {"name": "other"})]
)
def test_two_callbacks_have_a_run_each_and_continue_it_from_a_checkpoint(
    collector: Server,
    telemetry: Callable[..., TelemetryCallback],
    tmp_path: Path,
    restores: bool,
    other: dict[str, str],
) -> None:
    pair = [telemetry(), telemetry(**other)]
    trainer(tmp_path, *pair, max_steps=8).train()
    again = [telemetry(), telemetry(**other)]
    trainer(tmp_path, *again, max_steps=12, restore_callback_states_from_checkpoint=restores).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-8")
    )
    ids = [run_of(callback) for callback in pair]
    assert len(set(ids)) == 2
    assert [run_of(callback) for callback in again] == ids
    saved = json.loads((tmp_path / "checkpoint-12" / "trainer_state.json").read_text())
    kept = saved["stateful_callbacks"]["TelemetryCallback"]
    assert [one["attributes"]["run_id"] for one in kept[:2]] == ids
    with Client(collector.url) as client:
        runs = [client.run(run_id) for run_id in ids]
        assert [steps(client, run_id) for run_id in ids] == [list(range(12))] * 2
    assert [(run.state, run.attempt) for run in runs] == [("finished", 2)] * 2


@pytest.mark.parametrize("restores", [False, True])
def test_a_checkpoint_without_the_callback_is_continued_at_the_trainers_step(
    collector: Server,
    telemetry: Callable[..., TelemetryCallback],
    tmp_path: Path,
    restores: bool,
) -> None:
    trainer(tmp_path, max_steps=4).train()
    callback = telemetry()
    trainer(
        tmp_path, callback, max_steps=8, restore_callback_states_from_checkpoint=restores
    ).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    again = telemetry()
    trainer(tmp_path, again, max_steps=12, restore_callback_states_from_checkpoint=restores).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-8")
    )
    assert run_of(again) == run_of(callback)
    with Client(collector.url) as client:
        assert steps(client, run_of(callback)) == list(range(4, 12))


def test_a_callback_that_is_made_from_a_checkpoint_has_the_token_that_was_given(
    telemetry: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    token = "htga_" + "x" * 20
    trainer(tmp_path, telemetry(token=token), max_steps=4).train()
    given = telemetry(token=token)
    training = trainer(tmp_path, given, max_steps=5, restore_callback_states_from_checkpoint=True)
    training.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    (used,) = [one for one in training.callback_handler.callbacks if isinstance(one, type(given))]
    assert used is not given
    assert used.options["token"] == token
    assert used.run is given.run


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"porject": "mine"}, TypeError, "'porject'; did you mean 'project'"),
        ({"Url": "http://x"}, TypeError, "did you mean 'url'"),
        ({"xyz": 1}, TypeError, "it takes url, token, project"),
        ({"optimizer": 1}, TypeError, "unexpected argument 'optimizer'"),
        ({"every": 0}, ValueError, "every"),
        ({"mode": "onlin"}, ValueError, "mode"),
        ({"ranks": "both"}, ValueError, "ranks"),
        ({"run_id": "mine"}, ValueError, "run_id"),
        ({"config": 7}, TypeError, "config"),
        ({"url": "ftp://x"}, ValueError, "url"),
    ],
)
def test_a_wrong_option_is_told_when_the_callback_is_made(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    from htga.telemetry.huggingface import TelemetryCallback  # noqa: PLC0415

    with pytest.raises(error, match=re.escape(words)):
        TelemetryCallback(**options)
