from __future__ import annotations

from collections.abc import Iterator
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

    def validation_step(self, batch: Any) -> None:
        self.log("val_loss", self.net(batch[0]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def fit(
    folder: Path,
    callback: TelemetryCallback,
    module: Module,
    *,
    checkpoint: Path | None = None,
    epochs: int = 1,
    **options: Any,
) -> Trainer:
    batches = DataLoader(TensorDataset(torch.randn(64, 1000)), batch_size=4)
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        log_every_n_steps=1,
        max_epochs=epochs,
        gradient_clip_val=0.5,
        **options,
    )
    trainer.fit(module, batches, batches, ckpt_path=checkpoint)
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
