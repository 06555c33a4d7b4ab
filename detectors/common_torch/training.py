"""One training session of a PyTorch detector: optimizer, learning rate, steps, and state for resuming."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from ...benchmark.core.device_names import CUDA
from ...benchmark.core.precisions import check_training_precision
from ...benchmark.core.shared_steps import check_pieces
from ..common.training import Arrays, NetworkTraining
from .cuda_settings import choose_cuda_settings
from .folding import choose_training_layout, name_layout
from .pieces import cut_batch
from .sharpness import override_batch_norms, perturb_weights
from .transfers import Feed, fetch_later

if TYPE_CHECKING:
    from ...benchmark.core.contracts import WriteState
    from ...benchmark.core.settings import TrainSettings
    from .detector import TorchDetector
    from .ranks import TorchRanks


class TorchTraining(NetworkTraining["TorchDetector"]):
    """A training session on the detector's device; see `NetworkTraining`."""

    def __init__(self, detector: TorchDetector, settings: TrainSettings, total_steps: int, steps_per_epoch: int):
        super().__init__(detector, settings, total_steps, steps_per_epoch, fast_bf16=has_fast_bf16(detector.device))
        check_training_precision(self.precision, detector.device.type)
        layout = choose_training_layout(detector.device)
        detector.network.to(detector.device).to(memory_format=layout)
        self.layout = name_layout(layout)
        self.optimizer = self._make_optimizer()
        self.feed = Feed(detector.device)
        self.compiled = torch.compile(detector.losses, dynamic=False) if settings.compile else None
        self.threads = settings.threads or torch.get_num_threads()
        self.ranks: TorchRanks | None = None

    def _make_optimizer(self) -> torch.optim.Optimizer:
        s, parameters = self.settings, self.detector.network.parameters()
        fused = True if self.detector.device.type == CUDA else None  # One kernel for all weights instead of many.
        if s.optimizer == "sgd":
            return torch.optim.SGD(parameters, s.lr, momentum=s.momentum, weight_decay=s.weight_decay, fused=fused)
        kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, s.lr, weight_decay=s.weight_decay, fused=fused)

    def join(self, ranks: TorchRanks) -> None:
        """Take steps as one of these ranks from now on, from rank 0's state.

        Raises:
            BenchError: its losses need the whole batch.
        """
        check_pieces(self.detector, type(self.detector).__name__, "--devices")
        self.ranks = ranks
        if not self.settings.threads:
            self.threads = max(1, torch.get_num_threads() // ranks.sharing)
        packed = ranks.broadcast(None if ranks.rank else self.state())
        if ranks.rank:
            self.restore(packed)

    def launch(self, batch: Arrays) -> Callable[[], dict[str, float]]:
        """Start a step, with the other ranks if there are any; see `NetworkTraining.launch`."""
        return super().launch(self.ranks.share(batch) if self.ranks else batch)

    def _update(self, batch: Arrays) -> Callable[[], dict[str, float]]:
        tf32 = self.precision == "tf32"
        with limit_threads(self.threads), choose_cuda_settings(tf32=tf32, benchmark=True):
            losses = self._take_step(self._to_tensors(batch))
        names, read = list(losses), fetch_later(torch.stack([value.float() for value in losses.values()]))
        return lambda: dict(zip(names, read(), strict=True))

    def _take_step(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        detector, s = self.detector, self.settings
        network = detector.network.train()
        if self.ranks:
            self.ranks.seed(self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        losses = self._compute_gradients(tensors, self.ranks)
        if s.sharpness != "none":
            flat = perturb_weights(network.parameters(), s.rho, adaptive=s.sharpness == "asam")
            frozen = nullcontext() if detector.sharpness_counts_twice else override_batch_norms(network, momentum=0.0)
            with flat, frozen:
                self._compute_gradients(tensors, self.ranks)
        if s.clip_value:
            torch.nn.utils.clip_grad_value_(network.parameters(), s.clip_value)
        self.optimizer.step()
        return losses

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
        return self.feed.send(self.detector.arrange_batch(batch))

    def _compute_gradients(
        self, tensors: dict[str, torch.Tensor], ranks: TorchRanks | None = None
    ) -> dict[str, torch.Tensor]:
        """Set the parameters' gradients, and return the detached losses: of the `ranks` together, or of this batch."""
        self.optimizer.zero_grad(set_to_none=True)
        found: dict[str, torch.Tensor] = {}
        for piece, share in cut_batch(tensors, self.settings.micro_batch, self.detector.count_terms, ranks):
            autocast = torch.autocast(self.detector.device.type, torch.bfloat16, enabled=self.precision == "bf16")
            with autocast, ranks.share_norms() if ranks else nullcontext():
                losses = (self.compiled or self.detector.losses)(piece)
            (losses["loss"] * share).backward()
            for name, value in losses.items():
                found[name] = found.get(name, 0) + value.detach() * share
        return ranks.add_up_gradients(self.detector.network.parameters(), found) if ranks else found

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
        self._lay_out_moments()
        self.done = content["done"]
        for name, module in self._list_generators().items():
            if name in content["rng"]:  # A state from another device has none for this one.
                module.set_rng_state(content["rng"][name])

    def _lay_out_moments(self) -> None:
        """Lay the optimizer's state out as the weights: what another device saved may lie otherwise in memory."""
        for parameter, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

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
