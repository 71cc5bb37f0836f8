"""Asynchronous copies of numbers from the device to the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Readout:
    """Reads small tensors without making the training thread wait.

    On CUDA they are copied as one buffer into pinned memory, in the order of the current stream,
    and an event tells when the copy is done. On the CPU the tensors themselves are kept, so they
    must not be written to afterwards. On other accelerators they are cloned.

    Args:
        tensors: All on accelerators or all on the CPU.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._ready: torch.cuda.Event | None = None
        device = tensors[0].device if tensors else torch.device("cpu")
        if device.type == "cuda":
            flat = [t.detach().reshape(-1).to(device, torch.float64) for t in tensors]
            joined = torch.cat(flat)
            pinned = torch.empty(joined.shape, dtype=joined.dtype, device="cpu", pin_memory=True)
            self._tensors = [pinned.copy_(joined, non_blocking=True)]
            # Blocking: the reader sleeps until then instead of spinning on a core.
            self._ready = torch.cuda.Event(blocking=True)
            self._ready.record(torch.cuda.current_stream(device))
        elif device.type == "cpu":
            self._tensors = [tensor.detach() for tensor in tensors]
        else:
            self._tensors = [tensor.detach().clone() for tensor in tensors]

    def numbers(self) -> list[float]:
        """The values in order; waits for the device, so call it on the sender's thread."""
        if self._ready is not None:
            self._ready.synchronize()
        return [float(number) for tensor in self._tensors for number in tensor.reshape(-1).tolist()]
