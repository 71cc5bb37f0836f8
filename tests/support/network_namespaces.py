"""Network namespaces: hosts of their own on one switch, whose links can be cut and healed."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_ADDRESS = "10.77.0.1"


def can_make() -> bool:
    """Whether this process may make network namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


class NetworkNamespaces:
    """A switch with an address of its own, `SWITCH_ADDRESS`, and hosts that are linked to it."""

    def __init__(self, hosts: int) -> None:
        self._name = f"htga{secrets.token_hex(3)}"
        self._hosts = hosts

    def command_on(self, host: int | None = None) -> tuple[str, ...]:
        """What to put before a command to run it on a host, or on the switch by default."""
        return ("ip", "netns", "exec", self._namespace(host))

    def cut(self, host: int) -> None:
        """Cut a host's link: packets are lost, and neither end is notified."""
        self._ip("-n", self._namespace(), "link", "set", f"port{host}", "down")

    def heal(self, host: int) -> None:
        """Restore a host's link."""
        self._ip("-n", self._namespace(), "link", "set", f"port{host}", "up")

    def make(self) -> None:
        """Create the namespaces and their links."""
        switch = self._namespace()
        self._ip("netns", "add", switch)
        self._ip("-n", switch, "link", "set", "lo", "up")
        self._ip("-n", switch, "link", "add", "switch", "type", "bridge")
        self._ip("-n", switch, "addr", "add", f"{SWITCH_ADDRESS}/16", "dev", "switch")
        self._ip("-n", switch, "link", "set", "switch", "up")
        for host in range(self._hosts):
            own, port = self._namespace(host), f"port{host}"
            self._ip("netns", "add", own)
            cable = ("link", "add", "cable", "netns", own, "type", "veth")
            self._ip(*cable, "peer", "name", port, "netns", switch)
            self._ip("-n", switch, "link", "set", port, "master", "switch", "up")
            self._ip("-n", own, "addr", "add", f"10.77.1.{host + 1}/16", "dev", "cable")
            for link in ("lo", "cable"):
                self._ip("-n", own, "link", "set", link, "up")

    def remove(self) -> None:
        """Delete the namespaces that exist."""
        for host in (None, *range(self._hosts)):
            delete = ["ip", "netns", "delete", self._namespace(host)]
            subprocess.run(delete, check=False, capture_output=True)

    def _namespace(self, host: int | None = None) -> str:
        return self._name if host is None else f"{self._name}-{host}"

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def network_namespaces(hosts: int) -> Iterator[NetworkNamespaces]:
    """Network namespaces for the length of the block."""
    made = NetworkNamespaces(hosts)
    try:
        made.make()
        yield made
    finally:
        made.remove()
