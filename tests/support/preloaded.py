"""A Python that has imported torch and the frameworks already: `[*PRELOADED, "script.py", ...]`.

Most of what a training script of a test costs is to import torch. So one process imports everything
once, `import_server.py`, and a script runs in a fork of it, from its first line to the end of the
interpreter, with arguments, environment, folder and files of its own. This file is the process that
a test starts: it passes signals on and ends as the script does.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SESSION = os.environ.get("TESTS_SESSION", str(os.getpid()))
"""The process id of the tests; the server ends with it."""
PRELOADED = [sys.executable, "-I", "-S", __file__, SESSION]
"""In place of `sys.executable`, for `-c`, `-m` or a script."""
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def connected(session: str) -> socket.socket:
    """Connect to the server of these tests; start it first if there is none."""
    own = Path(f"/tmp/htga-tests-{os.getuid()}-{session}")  # noqa: S108  nobody else may enter it
    own.mkdir(0o700, exist_ok=True)
    with (own / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            connection.connect(str(own / "socket"))
            return connection
        connection.close()
        server = Path(__file__).with_name("import_server.py")
        root = str(server.parents[2])
        environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
        with (own / "log").open("w") as log:
            started = subprocess.Popen(
                [sys.executable, str(server), str(own / "socket"), session],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=root,
                start_new_session=True,
            )
        while not (own / "socket").exists():
            if started.poll() is not None:
                sys.exit("the import server ended: " + (own / "log").read_text())
            time.sleep(0.05)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(own / "socket"))
        return connection


def main() -> int:
    """Run what the arguments say in a fork of the server; return its status."""
    connection = connected(sys.argv[1])
    request = {"argv": sys.argv[2:], "environment": dict(os.environ), "folder": str(Path.cwd())}
    body = json.dumps(request).encode()
    files = array.array("i", (0, 1, 2))
    connection.sendmsg(
        [len(body).to_bytes(8, "little")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)]
    )
    connection.sendall(body)
    answers = connection.makefile()
    pid = int(answers.readline())

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    for own in (0, 1, 2):  # so that a pipe ends with the script, not with this process
        os.close(own)
    status = int(answers.readline() or -signal.SIGKILL)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    os._exit(main())
