"""A Hugging Face trainer: one callback.

pip install transformers accelerate
htga up                                 # in one terminal
python examples/huggingface_trainer.py  # in another; it prints the address of its page
"""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from htga.telemetry.huggingface import TelemetryCallback


class Parity(Dataset[dict[str, Tensor]]):
    """Whether a sentence of numbers holds more odd ones than even ones."""

    def __len__(self) -> int:
        return 1024

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        words = torch.randint(2, 64, (32,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": words, "labels": (words % 2).double().mean().gt(0.5).long()}


config = BertConfig(
    vocab_size=64, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=128
)
telemetry = TelemetryCallback(project="examples")
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(folder, num_train_epochs=1, logging_steps=10, report_to="none"),
        train_dataset=Parity(),
        eval_dataset=Parity(),
        callbacks=[telemetry],
    )
    trainer.train()
    trainer.evaluate()  # belongs to the same run
if telemetry.run is not None:
    print(telemetry.run.url)
