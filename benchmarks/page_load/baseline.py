"""One chart by plotly alone, from a minimal server: the baseline for all pages."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from page_load.tab import Rows, tab, until_drawn
from playwright.sync_api import Browser

from htga_dashboard.figures import plotly_script

DOCUMENT = """<!DOCTYPE html><script src="/plotly.js"></script><div id="chart"></div><script>
Plotly.newPlot("chart", [{y: Array.from({length: 800}, (_, i) => Math.sin(i / 9))}]);
</script>"""


def baseline(browser: Browser, _url: str) -> Rows:
    """Time to that chart, with an empty and with a full cache."""
    cold, warm = [], []
    with bare() as address:
        for _ in range(5):
            with tab(browser) as page:
                cold.append(until_drawn(page, address))
                warm.append(until_drawn(page, address))
    yield "a chart by plotly alone, cold cache", f"{statistics.median(cold):.2f} s", ""
    yield "a chart by plotly alone, warm cache", f"{statistics.median(warm):.2f} s", ""


class Bare(BaseHTTPRequestHandler):
    """Responds with the script or the document."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond to one request."""
        is_script = self.path == "/plotly.js"
        body = (plotly_script.script() if is_script else DOCUMENT).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
        self.send_header("Content-Length", str(len(body)))
        if is_script:
            self.send_header("Cache-Control", plotly_script.FOR_EVER["Cache-Control"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@contextmanager
def bare() -> Iterator[str]:
    """Run such a server and yield its address."""
    plotly_script.script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bare)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
