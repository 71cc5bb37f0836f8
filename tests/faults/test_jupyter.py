"""In a notebook's kernel: killed and started again, cells run once more, several runs at once."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.support.faulty_collector import FaultyCollector
from tests.support.seeded_random import LONG

# ZeroMQ closes sockets when it is collected; the kernel's client has no other way.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CELL = """
import gc, threading
import torch
from htga import telemetry

optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(8))], lr=0.1)
run = telemetry.attach(optimizer, url={url!r}, project="p", dir={folder!r})
for step in range(50):
    run.log(step=step, loss=1.0)
"""

LEARNS = """
import torch
from htga import telemetry

weight = torch.nn.Parameter(torch.ones(2000))
optimizer = torch.optim.SGD([weight], lr=0.1)
run = telemetry.attach(optimizer, url={url!r}, project="p", dir={folder!r})
for step in range(30):
    weight.grad = torch.randn(2000) ** 3
    optimizer.step()
    run.log({{"a<b>": 1.0, "loss": 2.5}})
"""

SPOOLED = "assert run._sender._queue.mark().passed.wait(20)"

THREADS = """
gc.collect()
mine = set(run._sender._threads._threads)
others = {t for t in threading.enumerate() if t.ident and t.name.startswith("htga-")} - mine
for thread in others:
    thread.join(20)
print(sum(thread.is_alive() for thread in others), sum(thread.is_alive() for thread in mine))
"""


class Kernel:
    """An IPython kernel, a process of its own, and what its cells print."""

    def __init__(self) -> None:
        self._manager = KernelManager()
        self._manager.start_kernel()
        self._connect()

    def run(self, cell: str) -> str:
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                said.append(message["content"]["text"])

        reply = self._client.execute_interactive(cell, timeout=120, output_hook=hear)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(said)

    def fail(self, cell: str) -> None:
        """Run a cell that raises."""
        reply = self._client.execute_interactive(cell, timeout=120, output_hook=lambda _: None)
        assert reply["content"]["status"] == "error", reply["content"]

    def shows(self, cell: str, condition: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Run a cell, and hear what stands in the notebook, by display, until `condition`."""
        self._client.execute(cell)
        while not condition(self._shown):
            message = self._client.get_iopub_msg(timeout=120)
            content = message["content"]
            assert message["msg_type"] != "error", content
            assert content.get("name") != "stderr", content
            if message["msg_type"] in {"display_data", "update_display_data"}:
                self._shown[content["transient"]["display_id"]] = content["data"]["text/html"]
        return self._shown

    def shut_down(self) -> None:
        """End it as a notebook's menu does, and wait."""
        self._client.stop_channels()
        self._manager.shutdown_kernel()

    def restart(self) -> None:
        self._client.stop_channels()
        self._manager.restart_kernel(now=True)  # as a notebook does: by SIGKILL
        self._connect()

    def end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _connect(self) -> None:
        self._client = self._manager.client()
        self._shown: dict[str, str] = {}
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    kernel = Kernel()
    yield kernel
    kernel.end()


def cell(faulty: FaultyCollector, folder: Path) -> str:
    return CELL.format(url=faulty.url, folder=str(folder))


def steps(faulty: FaultyCollector) -> list[int]:
    return sorted(row["step"] for row in faulty.rows)


def test_a_killed_kernel_loses_no_spooled_row_when_it_is_started_again(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path
) -> None:
    kills = 20 if LONG else 2
    faulty.stop()
    for _ in range(kills):
        kernel.run(cell(faulty, tmp_path / "spool") + SPOOLED)
        kernel.restart()
    faulty.start()
    kernel.run(cell(faulty, tmp_path / "spool"))
    assert faulty.wait(lambda: len(faulty.rows) == 50 * (kills + 1), 60)
    assert steps(faulty) == sorted([*range(50)] * (kills + 1))


def test_control_rows_in_another_folder_are_not_found(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path
) -> None:
    faulty.stop()
    kernel.run(cell(faulty, tmp_path / "elsewhere") + SPOOLED)
    kernel.restart()
    faulty.start()
    kernel.run(cell(faulty, tmp_path / "spool") + "assert run.flush(20)\nrun.finish()")
    assert steps(faulty) == list(range(50))


def test_a_cell_that_is_run_again_ends_its_run_and_leaves_no_thread(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path
) -> None:
    for _ in range(4):
        kernel.run(cell(faulty, tmp_path / "spool"))
    assert kernel.run(THREADS) == "0 3\n"
    assert len(faulty.finished) == 3
    kernel.run("run.finish(timeout=20)")
    assert steps(faulty) == sorted([*range(50)] * 4)
    assert kernel.run("for t in mine: t.join(20)\n" + THREADS) == "0 0\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_in_a_cell_does_not_fail_a_run_that_goes_on(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path, when: str
) -> None:
    if when == "before":
        kernel.fail("1 / 0")
    kernel.run(cell(faulty, tmp_path / "spool"))
    if when == "after":
        kernel.fail("1 / 0")
    kernel.run("run.log(step=50, loss=2.0)")
    kernel.shut_down()
    assert faulty.wait(lambda: len(faulty.finished) == 1, 60)
    assert [how["state"] for how in faulty.finished.values()] == ["finished"]
    assert steps(faulty) == list(range(51))


def test_two_runs_in_one_kernel_keep_apart(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path
) -> None:
    kernel.run(cell(faulty, tmp_path / "spool"))
    kernel.run("first, kept = run, optimizer")
    kernel.run(cell(faulty, tmp_path / "spool"))
    assert kernel.run("print(first.flush(20), run.flush(20), first.id != run.id)") == (
        "True True True\n"
    )
    assert len({row["writer"] for row in faulty.rows}) == 2
    assert steps(faulty) == sorted([*range(50)] * 2)
    assert faulty.finished == {}


def test_a_run_is_shown_where_it_begins_and_where_it_is_asked_for_with_a_picture_that_goes_on(
    kernel: Kernel, faulty: FaultyCollector, tmp_path: Path
) -> None:
    learns = LEARNS.format(url=faulty.url, folder=str(tmp_path / "spool"))
    shown = kernel.shows(learns, says("loss 2.5 at step 29"))
    assert kernel.shows("run", lambda found: len(found) == 2) is shown
    kernel.shows("run.log(loss=1.25)", says("loss 1.25 at step 29", places=2))
    (run_id,) = faulty.runs
    for html in shown.values():
        card = ET.fromstring(html)  # noqa: S314  it is ours
        (link,) = card.iter("a")
        assert link.attrib["href"] == f"{faulty.url}/run/{run_id}"
        assert link.text == f"{faulty.runs[run_id]['name']} of p"
        assert len([*card.iter("polyline")]) == 2
        assert "alpha_bar nan" not in html
        assert "script" not in html
        assert html.count("http") == 1
    kernel.shows("run.finish('failed', timeout=20)", says("failed", places=2))
    assert "run" in kernel.run("print(run._repr_html_())")


def says(words: str, *, places: int = 1) -> Callable[[dict[str, str]], bool]:
    return lambda found: sum(words in html for html in found.values()) == places
