"""One way to log a step, and to count the steps that are stored, for each tracker.

Each is set up as a user would who has one machine, and imported when it is used: every tracker has
an environment of its own.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

BINS = 128
EDGES = [2.0 ** (i / 8 - 24) for i in range(BINS + 1)]
"""Eight bins to the octave, as those of HTGA; Aim has linear bins only."""

BLOCK, WHOLE = 32768, {1, 4}
"""Of LevelDB's log: bytes of a block, and the kinds of pieces that complete a record."""


class Tracker(Protocol):
    """A run of a tracker."""

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """Log one step, with the counts between `EDGES` if they are given."""

    def end(self) -> None:
        """Return when everything is stored."""

    @staticmethod
    def stored(folder: Path) -> int:
        """How many steps can be read back."""


class Htga:
    """Rows to a spool and to the collector at HTGA_URL."""

    def __init__(self, folder: Path) -> None:
        wire, sender = import_module("htga_client.wire"), import_module("htga_client.sender.sender")
        transport = import_module("htga_client.http.transport").HttpTransport(
            os.environ["HTGA_URL"]
        )
        run_id = str(import_module("htga_client.run_ids").uuid7())
        (folder / "run").write_text(run_id)
        new = wire.NewRun(id=run_id, project="peers", name="htga")
        self._encode = import_module("htga_client.wire.histogram").encode
        self._sender = sender.Sender(transport, new, folder=folder / "spool")
        self._sender.start()

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """A row; bin 824 begins at 2**-24."""
        row: dict[str, Any] = {"step": step, "time": 0.0, "metrics": metrics}
        if counts is not None:
            row["histogram"] = self._encode(counts, bits=3, first=824)
        self._sender.put(row)

    def end(self) -> None:
        """As `Run.finish`."""
        assert self._sender.finish(timeout=300)

    @staticmethod
    def stored(folder: Path) -> int:
        """What the collector has, once a killed process's spool is delivered."""
        url = os.environ["HTGA_URL"]
        sync = [sys.executable, "-m", "htga.cli.main", "sync", "--url", url]
        subprocess.run([*sync, "--dir", str(folder / "spool")], check=True, capture_output=True)
        client = import_module("htga_client").Client(url)
        run_id = (folder / "run").read_text()
        return int(client.series(run_id, ["m0"], buckets=20_000).num_rows)


class Trackio:
    """Its local store."""

    def __init__(self, folder: Path) -> None:
        os.environ |= {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
        self._trackio = import_module("trackio")
        self._trackio.init(project="peers", name="run")

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """With its histogram type."""
        values: dict[str, Any] = dict(metrics)
        if counts is not None:
            values["histogram"] = self._trackio.Histogram(np_histogram=(counts, EDGES))
        self._trackio.log(values, step=step)

    def end(self) -> None:
        """Finish."""
        self._trackio.finish()

    @staticmethod
    def stored(folder: Path) -> int:
        """By its own store."""
        os.environ["TRACKIO_DIR"] = str(folder)
        store = import_module("trackio.sqlite_storage").SQLiteStorage
        return len(store.get_logs("peers", "run"))


class Wandb:
    """Offline."""

    def __init__(self, folder: Path) -> None:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
        self._wandb = import_module("wandb")
        self._run = self._wandb.init(project="peers", dir=str(folder))

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """With its histogram type."""
        values: dict[str, Any] = dict(metrics)
        if counts is not None:
            values["histogram"] = self._wandb.Histogram(np_histogram=(counts, EDGES))
        self._run.log(values, step=step)

    def end(self) -> None:
        """Finish."""
        self._run.finish()

    @staticmethod
    def stored(folder: Path) -> int:
        """Records of history in its file: offline, there is no other way to read it."""
        make = import_module("wandb.proto.wandb_internal_pb2").Record
        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        kinds = [make.FromString(data).WhichOneof("record_type") for data in _logged(path)]
        return kinds.count("history")


def _logged(path: Path) -> Iterator[bytes]:
    """The whole records of a file in LevelDB's log format, behind a head of seven bytes."""
    data, at, record = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if at % BLOCK + 7 > BLOCK:
            at += BLOCK - at % BLOCK  # too little room for another head
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in WHOLE and at <= len(data):
            yield record
            record = b""


class TensorBoard:
    """Its files, written by tensorboardX, which needs no torch."""

    def __init__(self, folder: Path) -> None:
        self._writer = import_module("tensorboardX").SummaryWriter(str(folder))

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """One call for each number."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        if counts is not None:
            self._writer.add_histogram_raw(
                "histogram",
                min=EDGES[0],
                max=EDGES[-1],
                num=sum(counts),
                sum=1.0,
                sum_squares=1.0,
                bucket_limits=EDGES[1:],
                bucket_counts=counts,
                global_step=step,
            )

    def end(self) -> None:
        """Close the file."""
        self._writer.close()

    @staticmethod
    def stored(folder: Path) -> int:
        """By TensorBoard's own reader."""
        events = import_module("tensorboard.backend.event_processing.event_accumulator")
        reader = events.EventAccumulator(str(folder), size_guidance={"scalars": 0})
        reader.Reload()
        return len(reader.Scalars("m0")) if "m0" in reader.Tags()["scalars"] else 0


class Aim:
    """Its local repository."""

    def __init__(self, folder: Path) -> None:
        self._aim = import_module("aim")
        self._run = self._aim.Run(repo=str(folder))
        (folder / "run").write_text(self._run.hash)

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """With its distribution, whose bins are linear."""
        for name, value in metrics.items():
            self._run.track(value, name=name, step=step)
        if counts is not None:
            found = self._aim.Distribution(hist=counts, bin_range=(EDGES[0], EDGES[-1]))
            self._run.track(found, name="histogram", step=step)

    def end(self) -> None:
        """Close the run."""
        self._run.close()

    @staticmethod
    def stored(folder: Path) -> int:
        """Through a writable handle: one that only reads sees nothing before it is indexed."""
        aim = import_module("aim")
        run = aim.Run((folder / "run").read_text(), repo=str(folder))
        context = import_module("aim.storage.context").Context({})
        metric = run.get_metric("m0", context)
        return 0 if metric is None else len(metric.values.sparse_list()[0])


class Mlflow:
    """SQLite in the same process, its default; it has no histogram, so bins are metrics."""

    def __init__(self, folder: Path) -> None:
        self._mlflow = import_module("mlflow")
        self._mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        run = self._mlflow.start_run()
        (folder / "run").write_text(run.info.run_id)

    def log(self, step: int, metrics: dict[str, float], counts: list[int] | None) -> None:
        """One call, which returns when it is stored."""
        bins = {} if counts is None else {f"bin{i}": float(n) for i, n in enumerate(counts)}
        self._mlflow.log_metrics(metrics | bins, step=step)

    def end(self) -> None:
        """End the run."""
        self._mlflow.end_run()

    @staticmethod
    def stored(folder: Path) -> int:
        """By its client."""
        client = import_module("mlflow").MlflowClient(f"sqlite:///{folder}/mlflow.db")
        return len(client.get_metric_history((folder / "run").read_text(), "m0"))


TRACKERS: dict[str, type[Any]] = {
    "htga": Htga,
    "trackio": Trackio,
    "wandb": Wandb,
    "tensorboard": TensorBoard,
    "aim": Aim,
    "mlflow": Mlflow,
}
