from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

# A shell without job control starts what it runs in the background with SIGINT ignored.
START = """
import signal, sys
from htga.cli.main import app
signal.signal(signal.SIGINT, signal.default_int_handler)
app(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flags", [[], ["--no-dashboard"]])
def test_a_server_with_an_open_stream_stops_without_a_word(
    tmp_path: Path, how: signal.Signals, flags: list[str]
) -> None:
    command = [sys.executable, "-c", START, "up", "--port", "0", "--data", str(tmp_path), *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            url = process.stdout.readline().split()[3]
            with httpx2.stream("GET", f"{url}/api/v1/live", timeout=30) as stream:
                lines = stream.iter_lines()
                assert next(lines) == ": open"
                process.send_signal(how)
                assert [line for line in lines if line] == []
            assert process.wait(timeout=30) in {0, -how}
            assert process.stderr.read() == ""
        finally:
            process.kill()
