"""How hard: a few faults each by default, hundreds with `pytest tests/faults --faults-long`."""

from __future__ import annotations

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--faults-long", action="store_true", help="hundreds of each fault")
    group.addoption("--faults-seed", type=int, help="repeat a run whose seed was printed")


@pytest.fixture
def long_faults(request: pytest.FixtureRequest) -> bool:
    """Whether many faults are wanted."""
    return bool(request.config.getoption("faults_long", default=False))


@pytest.fixture
def fault_dice(request: pytest.FixtureRequest) -> random.Random:
    """Dice for when and where; their seed is printed with a failure."""
    seed = request.config.getoption("faults_seed", default=None)
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"--faults-seed={seed}")
    return random.Random(seed)
