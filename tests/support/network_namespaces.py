"""Network namespaces: machines of their own on one switch, each with a cable that can be pulled."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

HUB = "10.77.0.1"


def can_make() -> bool:
    """Whether this process may make network namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Islands:
    """A hub, at the address `HUB`, and so many islands around it."""

    def __init__(self, count: int) -> None:
        self._name = f"htga{secrets.token_hex(3)}"
        self._count = count

    def on(self, island: int | None = None) -> tuple[str, ...]:
        """What to put before a command so that it runs on an island, or else on the hub."""
        return ("ip", "netns", "exec", self._space(island))

    def pull(self, island: int) -> None:
        """Pull the cable: what is sent gets lost, and nobody is told."""
        self._ip("-n", self._space(), "link", "set", f"port{island}", "down")

    def plug(self, island: int) -> None:
        """Plug it in again."""
        self._ip("-n", self._space(), "link", "set", f"port{island}", "up")

    def make(self) -> None:
        """Make them."""
        hub = self._space()
        self._ip("netns", "add", hub)
        self._ip("-n", hub, "link", "set", "lo", "up")
        self._ip("-n", hub, "link", "add", "switch", "type", "bridge")
        self._ip("-n", hub, "addr", "add", f"{HUB}/16", "dev", "switch")
        self._ip("-n", hub, "link", "set", "switch", "up")
        for island in range(self._count):
            own, port = self._space(island), f"port{island}"
            self._ip("netns", "add", own)
            cable = ("link", "add", "cable", "netns", own, "type", "veth")
            self._ip(*cable, "peer", "name", port, "netns", hub)
            self._ip("-n", hub, "link", "set", port, "master", "switch", "up")
            self._ip("-n", own, "addr", "add", f"10.77.1.{island + 1}/16", "dev", "cable")
            for link in ("lo", "cable"):
                self._ip("-n", own, "link", "set", link, "up")

    def sink(self) -> None:
        """Remove what there is of them."""
        for island in (None, *range(self._count)):
            gone = ["ip", "netns", "delete", self._space(island)]
            subprocess.run(gone, check=False, capture_output=True)

    def _space(self, island: int | None = None) -> str:
        return self._name if island is None else f"{self._name}-{island}"

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def islands(count: int) -> Iterator[Islands]:
    """Islands for the length of the block."""
    made = Islands(count)
    try:
        made.make()
        yield made
    finally:
        made.sink()
