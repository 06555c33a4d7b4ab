"""One training session of a PyTorch detector: optimizer, learning rate, a step, and all that a resume needs."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from ..benchmark.config import TrainSettings
    from .torch_detector import TorchDetector


class TorchTraining:
    """Steps through batches of named arrays. `state` and `restore` make a resumed session equal to an unbroken one."""

    def __init__(self, detector: TorchDetector, settings: TrainSettings, total_steps: int, steps_per_epoch: int):
        self.detector, self.settings = detector, settings
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.done = 0
        if settings.threads:
            torch.set_num_threads(settings.threads)
        detector.network.to(detector.device).to(memory_format=torch.channels_last)
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        s, parameters = self.settings, self.detector.network.parameters()
        if s.optimizer == "sgd":
            return torch.optim.SGD(parameters, s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
        kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, s.lr, weight_decay=s.weight_decay)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        s, epoch = self.settings, self.done // self.steps_per_epoch
        rate = [s.lr, *(lr for start, lr in s.lr_steps if epoch >= start)][-1]
        if s.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * self.done / self.total_steps))
        return rate * min(1.0, (self.done + 1) / (s.warmup_steps + 1))

    def step(self, batch: dict[str, np.ndarray]) -> dict[str, float]:
        """Take one optimisation step on a batch from the detector's sampler; return the losses, by name."""
        detector, s = self.detector, self.settings
        tensors = {k: torch.from_numpy(v).to(detector.device, non_blocking=True) for k, v in batch.items()}
        detector.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with torch.autocast(detector.device.type, torch.bfloat16, enabled=s.precision == "bf16"):
            losses = detector.losses(tensors)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if s.clip_value:
            torch.nn.utils.clip_grad_value_(detector.network.parameters(), s.clip_value)
        self.optimizer.step()
        self.done += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def state(self) -> bytes:
        """Pack weights, optimizer, step and random state (dropout's) for `restore`."""
        buffer = io.BytesIO()
        content = {
            "network": self.detector.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "rng": torch.get_rng_state(),
        }
        torch.save(content, buffer)
        return buffer.getvalue()

    def restore(self, packed: bytes) -> None:
        """Go back to where `state` was taken."""
        content = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
        self.detector.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.done = content["done"]
        torch.set_rng_state(content["rng"])
