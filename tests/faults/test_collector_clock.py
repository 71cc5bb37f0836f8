"""The collector's clock jumps. The order of rows is the order of steps, whatever it says."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from htga_client.wire import PREFIX
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from tests.support.load import Load, lost

HOUR = 3600.0


def test_control_the_collector_sees_the_clock_jump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with Server(create_app(Settings(data=tmp_path))).background() as server:
        writer = Load(server.url).writers[0]
        with httpx2.Client(timeout=10) as client:
            writer.register()
            assert writer.once(client)
            monkeypatch.setattr(time, "time", lambda: real() + HOUR)
            run = client.get(f"{server.url}{PREFIX}/runs/{writer.run_id}").json()
    assert run["state"] == "lost"


def test_a_clock_that_jumps_back_and_forth_changes_neither_order_nor_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with Server(create_app(Settings(data=tmp_path))).background() as server:
        load = Load(server.url)
        writer = load.writers[0]
        with httpx2.Client(timeout=10) as client:
            writer.register()
            for shift in (0.0, -HOUR, 48 * HOUR, 0.0, -48 * HOUR):
                monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
                for _ in range(4):
                    assert writer.once(client)
                run = client.get(f"{server.url}{PREFIX}/runs/{writer.run_id}").json()
                assert (run["state"], run["last_step"]) == ("running", writer.acked - 1)
        monkeypatch.undo()
        load.highest[0] = writer.acked
        assert lost(server.url, load) == 0
