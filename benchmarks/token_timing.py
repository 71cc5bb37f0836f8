"""Whether the time that a refusal takes tells anything about the token that was refused.

    python benchmarks/token_timing.py

Tokens that are wrong in different ways come in a random order, and are timed at the function that
looks at them, where a difference of a tenth of a microsecond shows.
"""

from __future__ import annotations

import tempfile
import time
import zlib
from functools import partial

import numpy as np
import sqlalchemy as sa
from machine import describe
from numpy.typing import NDArray

from htga_server.access import tokens
from htga_server.migrate import migrate
from htga_server.storage.database import Database

SAMPLES = 20_000


def welch(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Welch's t of two samples."""
    variance = one.var(ddof=1) / one.size + other.var(ddof=1) / other.size
    return float((one.mean() - other.mean()) / np.sqrt(variance))


def main() -> None:
    """Print the tables."""
    print(f"{describe()}\n", flush=True)

    def made(token_id: str, secret: str) -> str:
        body = f"htga_{token_id}_{secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    def other(digits: str, at: int) -> str:
        return digits[:at] + ("1" if digits[at] == "0" else "0") + digits[at + 1 :]

    with tempfile.TemporaryDirectory() as name:
        database = Database(f"sqlite:///{name}/htga.db")
        migrate(database)
        token = database.write_now(partial(tokens.create, name="one", scopes=("read",)))
        _, own, secret, _ = token.split("_")
        kinds = {
            "first digit": made(own, other(secret, 0)),
            "last digit": made(own, other(secret, 63)),
            "unknown": made(other(own, 0), secret),
        }
        order = np.random.default_rng(0).permutation(np.repeat(np.arange(3), SAMPLES)).tolist()
        wrong, taken = list(kinds.values()), np.zeros(3 * SAMPLES)

        def ask(connection: sa.Connection) -> None:
            for one in order[:SAMPLES]:  # until all is warm
                tokens.find(connection, wrong[one])
            for number, one in enumerate(order):
                begin = time.perf_counter_ns()
                tokens.find(connection, wrong[one])
                taken[number] = time.perf_counter_ns() - begin

        database.read_now(ask)
        database.close()
    sets = dict(zip(kinds, (taken[np.array(order) == one] for one in range(3)), strict=True))
    limit = np.quantile(taken, 0.99)
    print(f"{SAMPLES} refusals of each kind; |t| below 4.5 is no difference\n")
    print("| wrong in | and in | medians, us | t | t without the slowest 1 % |")
    print("|---|---|---|---|---|")
    for one, two in (("first digit", "last digit"), ("first digit", "unknown")):
        a, b = sets[one], sets[two]
        print(
            f"| {one} | {two} | {np.median(a) / 1e3:.2f}, {np.median(b) / 1e3:.2f} |"
            f" {welch(a, b):.1f} | {welch(a[a < limit], b[b < limit]):.1f} |"
        )


if __name__ == "__main__":
    main()
