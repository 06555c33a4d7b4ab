"""Runners of a detector's network: each is made for a detector with its weights and maps crops to logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...benchmark.core.errors import BenchError
from ..common_torch.cuda_settings import choose_cuda_settings
from ..common_torch.detector import TorchDetector
from ..common_torch.folding import choose_layout, fold_network
from ..common_torch.training import has_fast_bf16
from .export import export_network

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Runner(Protocol):
    """Maps uint8 (N, S, S, 3) RGB crops to float32 logits (N, 2) or (N, 1)."""

    def __call__(self, frames: np.ndarray) -> np.ndarray: ...


def make_runner(detector: TorchDetector, runtime: str, precision: str, frames: np.ndarray) -> Runner:
    """Make the runner for a detector's network with its current weights; `frames` are sample crops.

    Raises:
        BenchError: the network can't be exported, or the runtime doesn't accept it.
    """
    if runtime in ("torch", "compile"):
        return TorchRunner(detector, precision, frames, compiled=runtime == "compile")
    return FileRunner(_start_session(detector, runtime, precision, frames))


def _start_session(detector: TorchDetector, runtime: str, precision: str, frames: np.ndarray) -> Runner:
    start = import_module(f"{__package__}.{runtime}").start_session
    path, threads = export_network(detector, frames), torch.get_num_threads()
    try:
        made: Runner = start(path, precision, threads)
    except Exception:  # A runtime may raise anything; the file may be damaged.
        path.unlink(missing_ok=True)
        try:
            made = start(export_network(detector, frames), precision, threads)
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            who = type(detector).__name__
            raise BenchError(f"{runtime} can't run {who}'s network: {reason}. Use --runtime torch") from error
    return made


def find_obstacle(detector: TorchDetector, runtime: str, precision: str) -> str:
    """Return why a detector can't be scored this way here; "" if it can. See `TakesRuntime`."""
    kind = detector.device.type
    if type(detector)._score is not TorchDetector._score:
        return f"{type(detector).__name__} has its own way of scoring"
    if runtime in ("torch", "compile"):
        return _find_torch_obstacle(kind, precision, detector.device)
    if kind != "cpu":
        return f"{runtime} runs on the processor here, and this detector is on {kind}"
    found: str = import_module(f"{__package__}.{runtime}").find_obstacle(precision)
    return found


def _find_torch_obstacle(kind: str, precision: str, device: torch.device) -> str:
    if precision in ("tf32", "fp16") and kind != "cuda":
        return f"PyTorch supports {precision} only on CUDA devices"
    if precision == "bf16" and not has_fast_bf16(device):
        return "this device has no native bf16 multiplication"
    return ""


class TorchRunner:
    """Torch itself, on a folded copy of the network, eager or compiled."""

    def __init__(self, detector: TorchDetector, precision: str, frames: np.ndarray, compiled: bool = False):
        self.detector, self.precision, self.dtype = copy.copy(detector), precision, DTYPES.get(precision)
        self.layout = choose_layout(detector.network, detector.device)
        self.detector.network = fold_network(detector.network, self._send(frames[:1]), self.layout, self.dtype)
        self.compiled = compiled
        self.forward = torch.compile(self.detector.forward, dynamic=False) if compiled else self.detector.forward
        self.batch = 0

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        kind, count = self.detector.device.type, len(frames)
        if self.compiled:  # For one batch size: smaller batches are padded.
            self.batch = max(self.batch, count)
            frames = np.resize(frames, (self.batch, *frames.shape[1:]))
        # What is compared with must be the same every time; what is there to be fast needn't.
        ways = choose_cuda_settings(tf32=self.precision == "tf32", benchmark=self.precision != "fp32")
        with torch.autocast(kind, self.dtype, enabled=self.dtype is not None), ways:
            logits = self.forward(self._make_input(frames))["logits"]
        found: np.ndarray = logits.float().cpu().numpy()[:count]
        return found

    def _make_input(self, frames: np.ndarray) -> Tensor:
        detector = self.detector
        x = detector.normalise(torch.from_numpy(np.ascontiguousarray(frames)).to(detector.device))
        return x.contiguous(memory_format=self.layout) if x.ndim == 4 else x

    def _send(self, frames: np.ndarray) -> Callable[[nn.Module], object]:
        def run(network: nn.Module) -> object:
            other = copy.copy(self.detector)
            other.network = network
            return other.forward(self._make_input(frames))

        return run


class FileRunner:
    """An exported network in another runtime."""

    def __init__(self, session: Runner):
        self.session = session

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        logits = np.asarray(self.session(np.ascontiguousarray(frames)), np.float32)
        if len(logits) != len(frames):
            raise BenchError(
                f"the exported network gives {len(logits)} results for {len(frames)} images. Use --runtime torch"
            )
        return logits
