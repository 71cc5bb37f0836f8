from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from htga.telemetry.lightning import TelemetryCallback
from htga_client import Client
from htga_server.http.server import Server
from tests.support.faulty_collector import FaultyCollector
from tests.support.preloaded import PRELOADED

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Lightning's own, of every kind
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


class Module(LightningModule):
    def __init__(self, **settings: float) -> None:
        super().__init__()
        self.save_hyperparameters({"lr": 0.1, "broken_at": -1} | settings)
        self.net = nn.Linear(1000, 2)

    def training_step(self, batch: Any) -> Tensor:
        if self.global_step == self.hparams["broken_at"]:
            raise RuntimeError("out of memory")
        loss: Tensor = self.net(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def test_step(self, batch: Any) -> None:
        self.log("test_loss", self.net(batch[0]).square().mean())

    def validation_step(self, batch: Any) -> None:
        self.log("val_loss", self.net(batch[0]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def batches() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.randn(64, 1000)), batch_size=4)


def fit(
    folder: Path,
    callback: TelemetryCallback | list[TelemetryCallback],
    module: LightningModule,
    *,
    checkpoint: Path | None = None,
    epochs: int = 1,
    **options: Any,
) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[*callback] if isinstance(callback, list) else [callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        log_every_n_steps=1,
        max_epochs=epochs,
        **{"gradient_clip_val": 0.5} | options,
    )
    trainer.fit(module, batches(), batches(), ckpt_path=checkpoint)
    return trainer


@pytest.fixture
def callback(collector: Server) -> Iterator[TelemetryCallback]:
    callback = TelemetryCallback(url=collector.url, project="lightning", layers_every=4)
    yield callback
    assert callback.run is not None
    assert callback.run.flush(20)
    assert callback.run._sender is not None
    callback.run._sender.close()
    assert callback.run._sender.join(20)


def test_a_fit_is_shown_with_what_the_module_logs(
    collector: Server, callback: TelemetryCallback, tmp_path: Path
) -> None:
    trainer = fit(tmp_path, callback, Module(lr=0.05), accumulate_grad_batches=2)
    assert trainer.loggers == []
    assert callback.run is not None
    with Client(collector.url) as client:
        run = client.run(callback.run.id)
        table = client.series(run.id, ["grad_norm", "loss", "val_loss"]).to_pydict()
        layers = client.series(run.id, ["alpha_hat"], layer="net.weight")
    assert (run.state, run.project, run.config["lr"]) == ("finished", "lightning", 0.05)
    assert table["step"] == list(range(8))  # sixteen batches, two to a step
    assert table["grad_norm"] == pytest.approx([0.5] * 8)  # what clipping has left
    assert all(loss is not None for loss in table["loss"])
    assert [loss is not None for loss in table["val_loss"]] == [False] * 7 + [True]
    assert layers["step"].to_pylist() == [0, 4]


def test_a_fit_that_fails_leaves_a_failed_run(
    collector: Server, callback: TelemetryCallback, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(tmp_path, callback, Module(broken_at=3))
    assert callback.run is not None
    with Client(collector.url) as client:
        run = client.run(callback.run.id)
    assert (run.state, run.last_step) == ("failed", 2)


def test_a_fit_that_goes_on_from_a_checkpoint_continues_the_run(
    collector: Server, callback: TelemetryCallback, tmp_path: Path
) -> None:
    trainer = fit(tmp_path, callback, Module())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert callback.run is not None
    first = callback.run
    again = TelemetryCallback(url=collector.url, project="lightning")
    fit(tmp_path, again, Module(), epochs=2, checkpoint=tmp_path / "one.ckpt")
    assert again.run is not None
    assert (again.run.id, again.run.flush(20)) == (first.id, True)
    with Client(collector.url) as client:
        run = client.run(first.id)
        table = client.series(first.id, ["alpha_hat"])
    assert (run.state, run.attempt) == ("finished", 2)
    assert table["step"].to_pylist() == list(range(32))


@pytest.fixture
def make(collector: Server) -> Iterator[Callable[..., TelemetryCallback]]:
    """Makes callbacks, and ends their runs."""
    made: list[TelemetryCallback] = []

    def one(**options: Any) -> TelemetryCallback:
        made.append(TelemetryCallback(url=collector.url, project="lightning", **options))
        return made[-1]

    yield one
    for callback in made:
        if callback.run is not None:
            callback.run.finish(timeout=20)


def run_of(callback: TelemetryCallback) -> str:
    assert callback.run is not None
    assert callback.run.flush(20)
    return callback.run.id


def steps(client: Client, run_id: str, layer: str = "") -> list[int]:
    found: list[int] = client.series(run_id, ["alpha_hat"], layer=layer)["step"].to_pylist()
    return found


def test_what_is_logged_after_a_fit_is_kept_in_its_run_which_has_ended(
    collector: Server, make: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    callback, module = make(), Module()
    trainer = fit(tmp_path, callback, module)
    run_id = run_of(callback)
    with Client(collector.url) as client:
        assert client.run(run_id).state == "finished"
        trainer.validate(module, batches(), verbose=False)
        trainer.save_checkpoint(tmp_path / "one.ckpt")
        trainer.test(module, batches(), verbose=False, ckpt_path=tmp_path / "one.ckpt")
        assert callback.run is not None
        callback.run.log(by_hand=1.0)
        assert run_of(callback) == run_id
        run = client.run(run_id)
        table = client.series(run_id, ["alpha_hat", "test_loss", "val_loss", "by_hand"])
        last = table.to_pylist()[-1]
    assert (run.state, run.attempt) == ("finished", 1)
    assert None not in last.values()
    assert last["step"] == 15
    assert trainer.loggers == []


def test_a_further_fit_begins_a_run_unless_it_goes_on_where_the_trainer_was(
    collector: Server, make: Callable[..., TelemetryCallback], tmp_path: Path
) -> None:
    callback, module = make(), Module()
    trainer = fit(tmp_path, callback, module)
    first = run_of(callback)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, batches(), batches())
    assert run_of(callback) == first
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    trainer.test(module, batches(), verbose=False, ckpt_path=tmp_path / "two.ckpt")
    fit(tmp_path, callback, Module())
    second = run_of(callback)
    assert second != first
    with Client(collector.url) as client:
        runs = client.run(first), client.run(second)
        assert steps(client, first) == list(range(32))
        assert steps(client, second) == list(range(16))
    assert [(run.state, run.attempt) for run in runs] == [("finished", 2), ("finished", 1)]


@pytest.mark.parametrize("other", [{}, {"name": "other"}])
def test_two_callbacks_have_a_run_each_and_continue_it_from_a_checkpoint(
    collector: Server,
    make: Callable[..., TelemetryCallback],
    tmp_path: Path,
    other: dict[str, str],
) -> None:
    pair = [make(), make(**other)]
    trainer = fit(tmp_path, pair, Module())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = [make(tags=["again"]), make(tags=["again"], **other)]
    fit(tmp_path, again, Module(), epochs=2, checkpoint=tmp_path / "one.ckpt")
    ids = [run_of(callback) for callback in pair]
    assert len(set(ids)) == 2
    assert [run_of(callback) for callback in again] == ids
    with Client(collector.url) as client:
        runs = [client.run(run_id) for run_id in ids]
        assert [steps(client, run_id) for run_id in ids] == [list(range(32))] * 2
    assert [(run.state, run.attempt) for run in runs] == [("finished", 2)] * 2


@pytest.mark.parametrize("had", ["none", "of an older version"])
def test_a_checkpoint_without_the_callbacks_key_is_continued_at_the_trainers_step(
    collector: Server, make: Callable[..., TelemetryCallback], tmp_path: Path, had: str
) -> None:
    before = make()
    trainer = fit(tmp_path, [] if had == "none" else [before], Module())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    if had != "none":
        saved = torch.load(tmp_path / "one.ckpt", weights_only=False)
        saved["callbacks"] = {"TelemetryCallback": saved["callbacks"][before.state_key]}
        torch.save(saved, tmp_path / "one.ckpt")
    callback = make()
    fit(tmp_path, callback, Module(), epochs=2, checkpoint=tmp_path / "one.ckpt")
    with Client(collector.url) as client:
        first = 16 if had == "none" else 0
        assert steps(client, run_of(callback)) == list(range(first, 32))
    assert had == "none" or run_of(callback) == run_of(before)


@pytest.mark.usefixtures("database_url")
def test_a_key_in_a_checkpoint_holds_no_secret_and_a_wrong_option_is_told() -> None:
    url = "http://someone:secret@127.0.0.1:8642"
    callback = TelemetryCallback(url=url, token="secret", config={"key": "secret"})  # noqa: S106
    assert "secret" not in callback.state_key
    assert "127.0.0.1:8642" in callback.state_key
    with pytest.raises(TypeError, match="'optimiser'; did you mean 'optimizer'"):
        TelemetryCallback(optimiser=1)
    with pytest.raises(ValueError, match="every"):
        TelemetryCallback(every=0)


class Adversaries(LightningModule):
    """Two optimizers, of which the second steps half as often."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.nets = nn.ModuleList([nn.Linear(1000, 2), nn.Linear(1000, 2)])

    def training_step(self, batch: Any, number: int) -> None:
        optimizers: Any = self.optimizers()
        for at, optimizer in enumerate(optimizers):
            if number % (at + 1) == 0:
                optimizer.zero_grad()
                self.manual_backward(self.nets[at](batch[0]).square().mean())
                optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(net.parameters(), lr=0.1) for net in self.nets]


@pytest.mark.parametrize("run_id", [None, "0197a1b2-0000-7000-8000-000000000001"])
def test_two_optimizers_are_measured_in_two_runs_or_in_one_that_both_name(
    collector: Server, make: Callable[..., TelemetryCallback], tmp_path: Path, run_id: str | None
) -> None:
    pair = [make(optimizer=number, run_id=run_id, layers_every=1) for number in (0, 1)]
    fit(tmp_path, pair, Adversaries(), limit_val_batches=0, gradient_clip_val=None)
    first, second = (run_of(callback) for callback in pair)
    assert (first == second) == bool(run_id)
    whole, layer = ("optimizer1", "optimizer1.nets.1.weight") if run_id else ("", "nets.1.weight")
    with Client(collector.url) as client:
        assert client.run(first).attempt == 1
        assert client.run(first).state == "finished"
        assert steps(client, first) == steps(client, first, "nets.0.weight") == list(range(16))
        assert steps(client, second, whole) == steps(client, second, layer) == list(range(8))


@pytest.mark.slow
@pytest.mark.usefixtures("database_url")
def test_processes_that_lightning_forks_are_one_attempt_of_a_run_whose_id_each_knows(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("train_forked_ranks.py")
    environment = os.environ | {"HTGA_STRICT": "1", "PYTHONPATH": str(script.parents[3])}
    done = subprocess.run(
        [*PRELOADED, str(script), faulty.url, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(2 * [f"{one} 8" for one in faulty.runs])
    assert {how["state"] for how in faulty.finished.values()} == {"finished"}
    assert len(faulty.starts) == 3
    assert len(set(faulty.starts)) == 2
    assert sorted({(row["rank"], row["step"]) for row in faulty.rows}) == [
        (rank, step) for rank in (0, 1) for step in range(8)
    ]
