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
INSTALL = ("apt-get", "install", "-y", "-qq")
SHELL = "chromium-headless-shell"
"""Chromium without its windows; it takes half the processor time of the whole."""
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HELP = (
    f"The browser tests need Chromium: install the package `{SHELL}` or `chromium`, run "
    "`playwright install chromium`, or name an executable in HTGA_CHROMIUM."
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
    """Get a Chromium: one of Debian's packages where we may, Playwright's own build elsewhere."""
    if os.environ.get("HTGA_CHROMIUM"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        if find() is None:
            subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
        return
    for package in (SHELL, "chromium"):
        if not shutil.which(SHELL) and not shutil.which(package):
            subprocess.run(["apt-get", "update", "-qq"], check=False)
            subprocess.run([*INSTALL, package, "fonts-liberation"], check=False)


if __name__ == "__main__":
    install()
    sys.exit(0 if find() else HELP)
