"""Data that need no download, split three ways by a seed."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from htga.experiments import digits

CLASSES = 10
VALIDATION = 0.2
"""Share of what is not held out for the test that is held out for choosing a learning rate."""

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
TEXT_SIZE = 2_000_000
CONTEXT = 64
N_EVALUATED = 400


@dataclass(frozen=True, slots=True)
class Split:
    """What a network learns from, what chooses the learning rate, and what is looked at once.

    Attributes:
        x, x_val, x_test: Inputs, the first dimension counts the examples.
        y, y_val, y_test: int64 labels of the same first dimension.
    """

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor


@lru_cache(maxsize=128)
def digits_split(seed: int, *, share: float = 1.0, wrong_labels: float = 0.0) -> Split:
    """The digits as float32 vectors of 64 numbers: 1,077 to learn from, 270 and 450 held out.

    Args:
        seed: Of the split, of the choice of examples and of the wrong labels.
        share: Which share of the examples to learn from, in (0, 1], each class alike.
        wrong_labels: Share of these examples that get another class at random, in [0, 1]. What is
            held out keeps its labels.

    Raises:
        ValueError: `share` or `wrong_labels` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    if not 0 <= wrong_labels <= 1:
        raise ValueError(f"wrong_labels must be in [0, 1], got {wrong_labels}")
    data = digits.load(seed)
    kept, val = _parts(data.y, VALIDATION, seed)
    if share < 1:
        some, _ = _parts(data.y[kept], 1 - share, seed)
        kept = kept[some]
    x, x_test = data.x.flatten(1), data.x_test.flatten(1)
    split = Split(x[kept], data.y[kept], x[val], data.y[val], x_test, data.y_test)
    return replace(split, y=_with_errors(split.y, wrong_labels, seed)) if wrong_labels else split


def _parts(labels: Tensor, second: float, seed: int) -> tuple[Tensor, Tensor]:
    """Two sets of places that divide the labels, every class alike."""
    places = np.arange(len(labels))
    first, rest = train_test_split(
        places, test_size=second, stratify=labels.numpy(), random_state=seed
    )
    return torch.from_numpy(first), torch.from_numpy(rest)


def _with_errors(labels: Tensor, share: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    changed = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    away = torch.randint(1, CLASSES, (len(changed),), generator=generator)
    wrong = labels.clone()
    wrong[changed] = (labels[changed] + away) % CLASSES
    return wrong


@lru_cache(maxsize=1)
def text_split() -> Split:
    """Windows of 64 characters of the Python standard library's sources, and each's next ones.

    The modules at the top of the library, in an order by chance that is the same always, up to 2
    million characters; 400 windows each are held out. Another version of Python has another text.
    """
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
    number = {letter: i for i, letter in enumerate(ALPHABET)}
    codes: list[int] = []
    for i in order:
        text = files[i].read_text(encoding="utf-8", errors="ignore")
        codes += [number[letter] for letter in text if letter in number]
        if len(codes) > TEXT_SIZE:
            break
    windows = torch.tensor(codes[:TEXT_SIZE]).unfold(0, CONTEXT + 1, CONTEXT)
    x, y = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
    # Neighbouring windows are of one module, so the held out ones are taken from the ends.
    val, test = slice(0, N_EVALUATED), slice(len(x) - N_EVALUATED, len(x))
    rest = slice(N_EVALUATED, len(x) - N_EVALUATED)
    return Split(x[rest], y[rest], x[val], y[val], x[test], y[test])
