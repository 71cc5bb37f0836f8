"""A fit of Lightning in two processes that it forks, on CPUs: train_forked_ranks.py URL FOLDER."""

from __future__ import annotations

import sys
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from htga.telemetry.lightning import TelemetryCallback


class Module(LightningModule):
    """Prints on each rank what a checkpoint would keep."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(40, 40)

    def training_step(self, batch: Any) -> Tensor:
        """The loss."""
        return self.net(batch[0]).square().mean()  # type: ignore[no-any-return]

    def on_train_end(self) -> None:
        """Print the run's state."""
        for callback in callbacks:
            assert callback.run is not None
            print(callback.run.id, callback.run.state_dict()["step"], flush=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Any."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


callbacks = [TelemetryCallback(url=sys.argv[1], ranks=ranks) for ranks in ("first", "all")]
Trainer(
    accelerator="cpu",
    devices=2,
    strategy="ddp_fork",
    max_epochs=1,
    callbacks=list(callbacks),
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    default_root_dir=sys.argv[2],
).fit(Module(), DataLoader(TensorDataset(torch.randn(64, 40)), batch_size=4))
