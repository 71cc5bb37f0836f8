"""What frameworks save and load of HTGA."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from htga.optim import HTGA
from tests.htga.training import net, remembered, same, train, weights

BASES: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.05),
    "adamw": lambda p: AdamW(p, lr=0.01),
}


def wrapped(model: nn.Module, base: str) -> HTGA:
    return HTGA(BASES[base](model.parameters()), actuator="both", law="integral")


@pytest.mark.parametrize("base", BASES)
def test_accelerate_goes_on_from_a_state_that_it_saved(base: str, tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    model = net()
    inner = wrapped(model, base)
    prepared, optimizer = accelerator.prepare(model, inner)
    train(prepared, optimizer, range(2))
    accelerator.save_state(str(tmp_path))
    at_save = weights(model), remembered(inner)
    train(prepared, optimizer, range(2, 4))
    after = weights(model), remembered(inner)
    accelerator.load_state(str(tmp_path))
    assert same((weights(model), remembered(inner)), at_save)
    train(prepared, optimizer, range(2, 4))
    assert same((weights(model), remembered(inner)), after)


class Module(lightning.LightningModule):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.net, self.base = net(), base

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        self.optimizer = wrapped(self.net, self.base)
        return {"optimizer": self.optimizer, "lr_scheduler": StepLR(self.optimizer, 1)}


def fitted(base: str, epochs: int, **given: Any) -> tuple[Module, lightning.Trainer]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 20, generator=generator)
    y = torch.randint(3, (32,), generator=generator)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Module(base)
    trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=16), **given)
    return module, trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("base", BASES)
def test_lightning_goes_on_from_a_checkpoint_that_it_saved(base: str, tmp_path: Path) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    path = str(tmp_path / "checkpoint")
    fitted(base, 1)[1].save_checkpoint(path)
    resumed, _ = fitted(base, 2, ckpt_path=path)
    whole, _ = fitted(base, 2)
    assert same(weights(resumed.net), weights(whole.net))
    assert same(remembered(resumed.optimizer), remembered(whole.optimizer))
