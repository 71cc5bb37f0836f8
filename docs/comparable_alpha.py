"""The tail index of four networks' gradients as telemetry shows it in three ways, now and before.

    OMP_NUM_THREADS=1 python docs/comparable_alpha.py

At a few steps of a training the same gradient goes through default telemetry (a sample), telemetry
of all entries, and telemetry of HTGA around the same optimizer. Beside them is what the same three
showed when k was n**0.6 of whatever was measured, and alpha_hat of HTGA its controller's. Prints
the table of `docs/tail.md`; takes some minutes on one core.
"""

from __future__ import annotations

import copy
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from htga import HTGA
from htga.experiments import digits
from htga.tail import draw_sample, hill
from htga.tail.systematic import fair_stride, systematic
from htga.telemetry.probe import SAMPLE, Probe

SEEDS = 12
"""Number of samples whose scatter is given."""

Batches = Iterator[tuple[Tensor, Tensor]]


class CharLM(nn.Module):
    """A Transformer over characters.

    Args:
        width: Size of the embeddings.
        depth: Number of layers.
        words: Number of characters.
        span: Length of a text.
    """

    def __init__(self, width: int, depth: int, words: int, span: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(span, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.head = nn.Linear(width, words)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the next character, [B, C, T]."""
        y = self.words(x) + self.places(torch.arange(x.shape[1]))
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        for layer in self.layers:
            y = layer(y, src_mask=mask, is_causal=True)
        scores: Tensor = self.head(y).transpose(1, 2)
        return scores


def mlp() -> nn.Module:
    """A perceptron on digits, 4.3 million parameters."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(64, 2048), nn.ReLU()),
        *(nn.Linear(2048, 2048), nn.ReLU()),
        nn.Linear(2048, 10),
    )


def text(span: int, size: int = 16) -> tuple[int, Batches]:
    """The number of characters of Python's library, and batches of its texts."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:80]
    joined = "".join(path.read_text(encoding="utf-8", errors="ignore") for path in files)
    known = sorted(set(joined))
    numbers = torch.tensor([known.index(c) for c in joined[:300_000]])
    generator = torch.Generator().manual_seed(0)

    def batches() -> Batches:
        while True:
            at = torch.randint(len(numbers) - span - 1, (size,), generator=generator)
            rows = torch.stack([numbers[i : i + span + 1] for i in at.tolist()])
            yield rows[:, :-1], rows[:, 1:]

    return len(known), batches()


@dataclass(frozen=True, slots=True)
class Task:
    """A training to look into.

    Attributes:
        name: What the table calls it.
        model: Makes the network.
        batches: Its data.
        lr: Learning rate of SGD with momentum 0.9.
        steps: When to look.
    """

    name: str
    model: Callable[[], nn.Module]
    batches: Batches
    lr: float
    steps: tuple[int, ...]


def tasks() -> Iterator[Task]:
    """The four trainings."""
    images = digits.load()
    words, texts = text(64)
    yield Task("digits CNN", digits.network, digits.batches(images, 64), 0.05, (1, 50, 200))
    yield Task("digits MLP", mlp, digits.batches(images, 64), 0.05, (1, 30, 60))
    for width, depth, steps in ((128, 2, (1, 50, 150)), (256, 4, (1, 20, 40))):
        model = CharLM(width, depth, words, 64)
        yield Task("char-LM", lambda model=model: model, texts, 0.05, steps)


def row(gradients: list[Tensor], sample: int | None, make: Callable[[Any], Any]) -> dict[str, Any]:
    """The row that telemetry makes of a step with these gradients."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    optimizer, items = make(parameters), []
    Probe(optimizer, items.append, sample=sample)
    optimizer.step()
    return dict(items[0]()[0])


def htga(parameters: list[nn.Parameter]) -> HTGA:
    """HTGA around SGD."""
    return HTGA(SGD(parameters, lr=0.1))


def look(name: str, size: int, step: int, gradients: list[Tensor]) -> str:
    """A line of the table."""
    whole = row(gradients, None, lambda p: SGD(p, lr=0.1))
    sampled = row(gradients, SAMPLE, lambda p: SGD(p, lr=0.1))
    around = row(gradients, SAMPLE, htga)
    drawn = [draw_sample(gradients, SAMPLE, seed) for seed in range(SEEDS)]
    scatter = stdev([float(x.measure().alpha_hat) for x in drawn]) if size > SAMPLE else 0.0
    error = sampled["alpha_stderr"]
    off = max(abs(x["alpha_hat"] - whole["alpha_hat"]) for x in (sampled, around)) / error
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    before = HTGA(SGD(parameters, lr=0.1), k="power")
    before.step()
    # What a sample was before: not enlarged where it holds zeros, and k from its own size.
    stride = fair_stride(max(1, size // SAMPLE), [gradient.shape for gradient in gradients])
    flat = [gradient.reshape(-1) for gradient in gradients]
    plain = [systematic(flat, stride, seed) for seed in range(SEEDS)]
    old = fmean(float(hill(entries, "power").alpha) for entries in plain)
    of_controller = 0.0 if before.tail is None else float(before.tail.control_alpha)
    return (
        f"| {name}, {size:,} | {step} | {old:.2f} | {float(hill(gradients, 'power').alpha):.2f}"
        f" | {of_controller:.2f}"
        f" | {sampled['alpha_hat']:.2f} ± {error:.2f} ({scatter:.2f})"
        f" | {whole['alpha_hat']:.2f} ± {whole['alpha_stderr']:.2f}"
        f" | {around['alpha_hat']:.2f} | {around['control_alpha']:.2f} | {off:.1f} |"
    )


def main() -> None:
    """Train, and print the table."""
    print(
        "| network, parameters | step | before: sample | all | HTGA | now: sample (sd of 12) | all"
        " | HTGA | its control_alpha | farthest, standard errors |"
    )
    print("|---" * 10 + "|")
    for task in tasks():
        torch.manual_seed(0)
        model = copy.deepcopy(task.model())
        size = sum(p.numel() for p in model.parameters())
        optimizer = SGD(model.parameters(), lr=task.lr, momentum=0.9)
        for step, (x, y) in enumerate(islice(task.batches, task.steps[-1]), 1):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            if step in task.steps:
                gradients = [p.grad for p in model.parameters() if p.grad is not None]
                print(look(task.name, size, step, gradients), flush=True)
            optimizer.step()


if __name__ == "__main__":
    main()
