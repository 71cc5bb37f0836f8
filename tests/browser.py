"""Finding a Chromium for the browser tests; run as a script, getting one.

python tests/browser.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# A page under test must reach no other host, and neither should the browser around it.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HELP = (
    "The browser tests need Chromium: install the package `chromium`, run `playwright install "
    "chromium`, or name an executable in HTGA_CHROMIUM."
)


def find() -> str | None:
    """Path of a Chromium, or None."""
    named = os.environ.get("HTGA_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def chromium() -> str:
    """Path of a Chromium.

    Raises:
        RuntimeError: There is none; the message says what to install.
    """
    path = find()
    if path is None:
        raise RuntimeError(HELP)
    return path


def install() -> None:
    """Get a Chromium: Debian's package where we may, Playwright's own build elsewhere."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find() is None:
        install()
    sys.exit(0 if find() else HELP)
