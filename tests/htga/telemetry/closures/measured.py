"""An optimizer that is measured by closures, and a closure with noise of a known law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from htga.levy import sample_stable
from htga.telemetry.closures.measurements import ClosureMeasurements
from htga.telemetry.run import StepCounter


class Measured:
    """A model whose optimizer is measured by closures, and the rows of it."""

    def __init__(self, model: nn.Module, *, knows_model: bool = True, **options: Any) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.items: list[Callable[[], Sequence[Mapping[str, Any]]]] = []
        self.counter = StepCounter(self.optimizer)
        self.measurements = ClosureMeasurements(
            self.optimizer,
            self.items.append,
            counter=self.counter,
            model=model if knows_model else None,
            layers=("*",),
            **options,
        )

    def noise(self, closure: Any, batches: int = 16, batch_size: int | None = None) -> Any:
        return self.measurements.measure_noise(closure, batches, batch_size)

    def sharpness(self, closure: Any, products: int = 20) -> Any:
        return self.measurements.measure_sharpness(closure, products)

    def rows(self) -> list[Mapping[str, Any]]:
        return [row for item in self.items for row in item()]


class StableNoise:
    """A closure: the gradient of a model on one batch, and on it stable noise of a known index.

    The noise of each parameter has a scale of its own.
    """

    def __init__(self, model: nn.Module, alpha: float, seed: int = 0) -> None:
        self._model = model
        self._alpha = alpha
        self._generator = torch.Generator().manual_seed(seed)
        self._x = torch.randn(32, 20, generator=self._generator)

    def __call__(self) -> Tensor:
        loss: Tensor = self._model(self._x).square().mean()
        loss.backward()
        for place, parameter in enumerate(self._model.parameters()):
            noise = sample_stable(self._alpha, parameter.shape, generator=self._generator)
            assert parameter.grad is not None
            parameter.grad += noise.to(parameter.dtype) * 10.0**-place
        return loss
