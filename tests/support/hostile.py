"""Names that would lead elsewhere if they were taken for paths."""

from __future__ import annotations

from itertools import product

UP = (
    "..",
    "%2e%2e",
    "%2E%2e",
    "%252e%252e",
    "..;",
    "..%00",
    "%c0%ae%c0%ae",
    "\uff0e\uff0e",
    "....",
)
SEPARATORS = ("/", "\\", "%2f", "%5c", "%252f", "%255c", ";/", "%c0%af", "//", "\u2215")
TIMES = (1, 2, 8)
TARGETS = ("etc/passwd", "outside/secret.txt")
DEVICES = (
    "CON",
    "NUL",
    "AUX",
    "COM1",
    "LPT1",
    "con.txt",
    "NUL:",
    "C:\\boot.ini",
    "C:",
    "\\\\?\\C:\\x",
)
PLAIN = (
    ".",
    "..",
    "...",
    "~",
    "~root",
    "-rf",
    "$HOME",
    "${HOME}",
    "$(cat /etc/passwd)",
    "`id`",
    "|cat /etc/passwd",
    ";cat /etc/passwd",
    "a\0/etc/passwd",
    "a%00/etc/passwd",
    "\n/etc/passwd",
    "/" * 200,
    "../" * 400,
    "a" * 4096,
    "%",
    "%zz",
    "*",
    "[a-z]*",
    "{run_id}",
    ":id",
    "manifest.json",
    "htga.db",
    "htga.db-wal",
    "archive",
)


def paths(*absolute: str) -> list[str]:
    """More than five hundred names, in a fixed order.

    Args:
        absolute: Paths that exist and must not be opened.
    """
    climbing = [
        (up + separator) * times + target.replace("/", separator)
        for up, separator, times, target in product(UP, SEPARATORS, TIMES, TARGETS)
    ]
    whole = [
        form
        for path in ("/etc/passwd", "/proc/self/environ", *absolute)
        for form in (
            path,
            f"/{path}",
            f"\\{path}",
            f"file://{path}",
            f"file:{path}",
            f"FILE://localhost{path}",
            f"%00{path}",
            f"{path}%00.parquet",
            f"x/../..{path}",
            path.replace("/", "%2f"),
            path.replace("/", "%252f"),
            f"dbfs:{path}",
            f"local://..;{path}",
        )
    ]
    return list(dict.fromkeys((*climbing, *whole, *DEVICES, *PLAIN)))
