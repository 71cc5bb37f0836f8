"""A real nginx in front of a server, with the lines that docs/deploy.md gives."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import nginx
from tests.support.processes import ROOT

CONFIG = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{ssl};
    {certificate}
    {location}
  }}
}}
"""
CERTIFICATE = "ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"


def documented_location() -> str:
    """The block of nginx's configuration in docs/deploy.md."""
    text = (ROOT / "docs/deploy.md").read_text()
    found = re.search(r"```\n(location .*?\n})\n```", text, re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def proxying(folder: Path, location: str, *, tls: bool) -> Iterator[int]:
    """nginx with this `location`, for the length of the block; gives its port."""
    if not nginx.complete():
        raise RuntimeError(nginx.HELP)
    folder.mkdir()
    folder.chmod(0o755)
    if tls:
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=htga.test"
        files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    certificate = CERTIFICATE.format(folder=folder) if tls else ""
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            # Its own user could not write a body to our folder, which nobody else may enter.
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            ssl=" ssl" if tls else "",
            certificate=certificate,
            location=location,
        )
    )
    command_line = [str(nginx.find()), "-c", str(config), "-e", f"{folder}/error.log"]
    with subprocess.Popen(command_line) as process:
        try:
            _wait_until_open(port, process, folder / "error.log")
            yield port
        finally:
            process.terminate()


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
