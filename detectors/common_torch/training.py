"""One training session of a PyTorch detector: optimizer, learning rate, steps, and state for resuming."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from ...benchmark.core.contracts import check_pieces
from ...benchmark.core.precisions import check_training_precision
from ..common.training import Arrays, NetworkTraining
from .cuda_settings import choose_tf32
from .folding import name_layout
from .pieces import cut_batch
from .sharpness import override_batch_norms, perturb_weights

if TYPE_CHECKING:
    from ...benchmark.core.contracts import WriteState
    from ...benchmark.core.settings import TrainSettings
    from .detector import TorchDetector


class TorchTraining(NetworkTraining["TorchDetector"]):
    """A training session on the detector's device; see `NetworkTraining`."""

    def __init__(self, detector: TorchDetector, settings: TrainSettings, total_steps: int, steps_per_epoch: int):
        super().__init__(detector, settings, total_steps, steps_per_epoch, fast_bf16=has_fast_bf16(detector.device))
        check_pieces(detector, type(detector).__name__, settings)
        check_training_precision(self.precision, detector.device.type)
        detector.network.to(detector.device).to(memory_format=torch.contiguous_format)  # See `TorchDetector.inputs`.
        self.layout = name_layout(torch.contiguous_format)
        self.optimizer = self._make_optimizer()
        self.threads = settings.threads or torch.get_num_threads()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        s, parameters = self.settings, self.detector.network.parameters()
        if s.optimizer == "sgd":
            return torch.optim.SGD(parameters, s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
        kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, s.lr, weight_decay=s.weight_decay)

    def _update(self, batch: Arrays) -> dict[str, float]:
        with limit_threads(self.settings.threads), choose_tf32(self.precision == "tf32"):
            return self._take_step(self._to_tensors(batch))

    def _take_step(self, tensors: dict[str, torch.Tensor]) -> dict[str, float]:
        detector, s = self.detector, self.settings
        network = detector.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        losses = self._compute_gradients(tensors)
        if s.sharpness != "none":
            flat = perturb_weights(network.parameters(), s.rho, adaptive=s.sharpness == "asam")
            frozen = nullcontext() if detector.sharpness_counts_twice else override_batch_norms(network, momentum=0.0)
            with flat, frozen:
                self._compute_gradients(tensors)
        if s.clip_value:
            torch.nn.utils.clip_grad_value_(network.parameters(), s.clip_value)
        self.optimizer.step()
        values = torch.stack([value.float() for value in losses.values()]).tolist()  # Waits once for the device.
        return dict(zip(losses, values, strict=True))

    def _differentiate(self, batch: Arrays) -> tuple[dict[str, torch.Tensor], Arrays]:
        network = self.detector.network.train()
        before = {name: value.clone() for name, value in network.named_buffers()}
        with torch.random.fork_rng(), limit_threads(self.settings.threads):
            losses = self._compute_gradients(self._to_tensors(batch))
        for name, value in network.named_buffers():  # Running statistics.
            value.copy_(before[name])
        reached = {k: p.grad for k, p in network.named_parameters() if p.grad is not None}
        return losses, {k: grad.detach().cpu().numpy().copy() for k, grad in reached.items()}

    def _to_tensors(self, batch: Arrays) -> dict[str, torch.Tensor]:
        whole = self.detector.arrange_batch(batch)
        return {k: torch.from_numpy(v).to(self.detector.device, non_blocking=True) for k, v in whole.items()}

    def _compute_gradients(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Set the parameters' gradients, and return the detached losses."""
        self.optimizer.zero_grad(set_to_none=True)
        found: dict[str, torch.Tensor] = {}
        for piece, share in cut_batch(tensors, self.settings.micro_batch, self.detector.count_terms):
            with torch.autocast(self.detector.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                losses = self.detector.losses(piece)
            (losses["loss"] * share).backward()
            for name, value in losses.items():
                found[name] = found.get(name, 0) + value.detach() * share
        return found

    def snapshot(self) -> WriteState:
        """Copy weights, optimizer, step and random state (for dropout) off the device, for `restore`."""
        content = {
            "network": self.detector.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "rng": {name: module.get_rng_state() for name, module in self._list_generators().items()},
        }
        return partial(torch.save, _copy_to_memory(content))

    def restore(self, packed: bytes) -> None:
        """Go back to the point at which `state` was called."""
        content = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
        self.detector.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.done = content["done"]
        for name, module in self._list_generators().items():
            if name in content["rng"]:  # A state from another device has none for this one.
                module.set_rng_state(content["rng"][name])

    def _list_generators(self) -> dict[str, ModuleType]:
        """Return the random generators: the processor's, and the device's if it has its own."""
        kind = self.detector.device.type
        return {"cpu": torch} | ({kind: torch.get_device_module(kind)} if kind != "cpu" else {})


def _copy_to_memory(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copy_to_memory(one) for name, one in value.items()}
    return [_copy_to_memory(one) for one in value] if isinstance(value, list) else value


@contextmanager
def limit_threads(count: int | None) -> Iterator[None]:
    """Use this many processor threads during training, and restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 natively: emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # Older versions of torch don't say.
    return any(has.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
