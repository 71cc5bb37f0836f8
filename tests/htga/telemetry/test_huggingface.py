from __future__ import annotations

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


def trainer(folder: Path, callback: TelemetryCallback, **options: Any) -> Trainer:
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
    return Trainer(Model(), arguments, train_dataset=Data(), callbacks=[callback])


@pytest.fixture
def telemetry(collector: Server) -> Iterator[Callable[..., TelemetryCallback]]:
    from htga.telemetry.huggingface import TelemetryCallback  # noqa: PLC0415

    made: list[TelemetryCallback] = []

    def make(**options: Any) -> TelemetryCallback:
        made.append(TelemetryCallback(url=collector.url, project="huggingface", **options))
        return made[-1]

    yield make
    for callback in made:
        assert callback.run is not None
        assert callback.run._sender is not None
        callback.run._sender.close()
        assert callback.run._sender.join(20)


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

    options = {"token": "htga_secret", "project": "mine"}
    state = TelemetryCallback(**options).state()
    assert state["args"] == {"project": "mine"}
