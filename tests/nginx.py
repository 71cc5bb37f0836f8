"""Finding an nginx for the test of proxies; run as a script, getting one.

python tests/nginx.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

HELP = (
    "The test of proxies needs nginx and openssl: install the packages `nginx-light` and `openssl`."
)


def find() -> str | None:
    """Path of nginx, or None."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def complete() -> bool:
    """Whether all that the test needs is there."""
    return find() is not None and shutil.which("openssl") is not None


def install() -> None:
    """Get Debian's packages where we may. No server is started by that."""
    if complete() or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    subprocess.run(["apt-get", "update", "-qq"], check=False)
    # Debian starts what it installs, unless a policy forbids it; then port 80 would be taken.
    env = os.environ | {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["nginx-light", "openssl"]
    subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=False, env=env)


if __name__ == "__main__":
    install()
    sys.exit(0 if complete() else HELP)
