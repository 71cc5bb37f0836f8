"""A Lightning module: one callback, no change to the module.

pip install lightning
htga up                               # in one terminal
python examples/lightning_trainer.py  # in another; it prints the address of its page
"""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from htga.telemetry.lightning import TelemetryCallback


class Regression(LightningModule):
    """Predicts a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1))

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss, which is logged and so shown."""
        x, y = batch
        loss = nn.functional.huber_loss(self.net(x), y)
        self.log("loss", loss)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """The loss over the whole data."""
        x, y = batch
        self.log("test_loss", nn.functional.huber_loss(self.net(x), y))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Any torch optimizer, HTGA too."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


torch.manual_seed(0)
x = torch.randn(4096, 64)
batches = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=64, shuffle=True)
telemetry = TelemetryCallback(project="examples")
trainer = Trainer(max_epochs=2, callbacks=[telemetry], logger=False)
trainer.fit(module := Regression(), batches)
trainer.test(module, batches)  # belongs to the same run
if telemetry.run is not None:
    print(telemetry.run.url)
