"""Batches to a device, and losses back from it, without either side waiting for the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ...benchmark.core.device_names import CUDA


class Feed:
    """Sends batches to a device.

    For CUDA they are copied into pinned memory, and from there on a separate stream: the next batch is transferred
    while a step is computed.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == CUDA else None

    def send(self, batch: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Return a batch on the device; the processor shares the arrays, elsewhere they may change afterwards."""
        here = {name: torch.from_numpy(array) for name, array in batch.items()}
        if self.stream is None:
            return {name: tensor.to(self.device) for name, tensor in here.items()}
        with torch.cuda.stream(self.stream):
            sent = {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in here.items()}
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self.stream)
        for tensor in sent.values():
            tensor.record_stream(computing)  # Else its memory could be given away before the step has read it.
        return sent


def fetch_later(values: Tensor) -> Callable[[], list[float]]:
    """Start fetching numbers from a device, and return a function that waits for them but for nothing later."""
    if values.device.type != CUDA:
        return values.tolist
    here = values.to("cpu", non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(values.device))

    def read() -> list[float]:
        arrived.synchronize()
        return here.tolist()

    return read
