"""Imports what training scripts import, and runs each script in a fork: see `preloaded.py`."""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import selectors
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

MODULES = (
    "torch",
    "torch.distributed.fsdp",
    "htga.telemetry",
    "htga.telemetry.huggingface",
    "htga.telemetry.lightning",
    "accelerate",
)


def serve(path: str, session: int) -> dict[str, Any]:
    """Fork for each request, and return in the fork; end with the process `session`."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path + ".new")
    listening.listen(64)
    os.rename(path + ".new", path)  # noqa: PTH104  from now on it can be reached
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ, ("listening", None, None))
    selector.register(os.pidfd_open(session), selectors.EVENT_READ, ("session", None, None))
    while True:
        for key, _ in selector.select():
            what, pid, connection = key.data
            if what == "session":
                shutil.rmtree(Path(path).parent, ignore_errors=True)
                os._exit(0)
            elif what == "listening":
                connection, _ = listening.accept()
                request = _received(connection)
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    listening.close()
                    connection.close()
                    return request
                for file in request["files"]:
                    os.close(file)
                connection.sendall(f"{pid}\n".encode())
                ended = os.pidfd_open(pid)
                selector.register(ended, selectors.EVENT_READ, ("ended", pid, connection))
                selector.register(connection, selectors.EVENT_READ, ("left", pid, ended))
            elif what == "left":  # whoever waited for the script was killed
                selector.unregister(key.fileobj)
                os.kill(pid, signal.SIGKILL)
            else:
                _, status = os.waitpid(pid, 0)
                selector.unregister(key.fd)
                os.close(key.fd)
                try:
                    selector.unregister(connection)
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                except (KeyError, OSError):
                    pass
                connection.close()


def _received(connection: socket.socket) -> dict[str, Any]:
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    size, body = int.from_bytes(head, "little"), b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    request: dict[str, Any] = json.loads(body)
    return request | {"files": files}


def become(request: dict[str, Any]) -> tuple[str, str]:
    """Take over arguments, environment, folder and files; return a script's source and name."""
    for own, file in enumerate(request["files"]):
        os.dup2(file, own)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()
    gc.unfreeze()
    argv = request["argv"]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if argv[0] in {"-c", "-m"}:
        sys.argv = [argv[0], *argv[2:]]
        sys.path[:0] = ["", *filter(None, paths)]
        if argv[0] == "-c":
            return argv[1], "<string>"
        run = f"import runpy; runpy.run_module({argv[1]!r}, run_name='__main__', alter_sys=True)"
        return run, "<module>"
    sys.argv = argv
    script = Path(argv[0])
    sys.path[:0] = [str(script.resolve().parent), *filter(None, paths)]
    return script.read_text(encoding="utf-8"), argv[0]


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    _source, _name = become(serve(sys.argv[1], int(sys.argv[2])))
    # Here, and not in a function: what the script defines is what `__main__` holds until the end.
    for _own in [name for name in globals() if not name.startswith("_")]:
        del globals()[_own]
    __file__ = _name
    exec(compile(_source, _name, "exec"))  # noqa: S102
