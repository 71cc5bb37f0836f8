"""Small networks: a perceptron for digits, and a Transformer for characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from htga.experiments.data import ALPHABET, CLASSES, CONTEXT


def perceptron() -> nn.Sequential:
    """64 pixels, two layers of 32 and 10 classes: 3,466 parameters."""
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, CLASSES)
    )


class CharTransformer(nn.Module):
    """Two causal Transformer layers of width 64 over characters, about 117,000 parameters."""

    mask: Tensor

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(ALPHABET), width)
        self.places = nn.Embedding(CONTEXT, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(ALPHABET))
        mask = nn.Transformer.generate_square_subsequent_mask(CONTEXT)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the next character, [N, 64, 96], of windows [N, 64]."""
        h = self.letters(x) + self.places(torch.arange(x.shape[1], device=x.device))
        for layer in self.layers:
            h = layer(h, src_mask=self.mask, is_causal=True)
        scores: Tensor = self.head(self.norm(h))
        return scores
