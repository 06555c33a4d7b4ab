"""Measures the speed of one detector in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ...detectors import create_from, get_cropper, load_from
from ...detectors.common.options import list_options
from ...detectors.runtimes import DEFAULT, Way, use_way
from ..core.contracts import Compiles, Cropper, LoadsWeights, Scores, TakesRuntime
from ..core.keys import code_hash, file_hash, hash_key
from ..core.precisions import AUTO
from ..core.progress import Reporter
from ..core.provenance import Provenance, collect_provenance, list_packages, name_processor
from ..core.registry import Entry
from ..core.settings import Settings
from ..core.speeds import RANDOM_WEIGHTS, SPEED_VERSION, Memory, Pipeline, Speed
from ..core.workers import available_cores
from .cost import count_activations, count_flops, count_parameters
from .devices import Device, find_backend, find_device, place, read_device_peak, reset_device_peak, use_threads
from .timing import (
    BATCHES,
    FULL,
    Clock,
    Effort,
    LoadMeter,
    ShowNewPictures,
    read_peak,
    read_rss,
    reset_peak,
    summarise_latency,
    time_batches,
    time_calls,
)

TimePipelines = Callable[[Scores, Cropper, Settings], dict[str, Pipeline]]
"""Times a detector with its cropper end to end; see `pipeline_speed`."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What to measure: an architecture, with weights from a file or random ones; `told` describes the weights."""

    entry: Entry
    settings: Settings
    weights: Path | None = None
    told: str = RANDOM_WEIGHTS
    decides: bool = False  # Whether the weights determine the architecture: other people's may.

    @property
    def options(self) -> dict[str, object]:
        """The options that differ from the card's defaults, as in rows."""
        return self.entry.drop_defaults(self.settings.options)

    @property
    def architecture(self) -> str:
        """A hash of what is measured, independent of the weights."""
        decided = file_hash(self.weights) if self.decides and self.weights else None
        code = code_hash(self.entry)
        return hash_key([SPEED_VERSION, self.entry.name, self.entry.backend, self.options, code, decided])

    def make(self) -> Scores:
        """Make the detector; without weights, nothing is fetched for it.

        Raises:
            BenchError: see `crossfake.detectors.create` and `load_from`.
        """
        if self.weights:
            return load_from(self.entry, self.weights, **self.settings.options)
        unfetched = {"pretrained": False} if "pretrained" in list_options(self.entry.load()) else {}
        return create_from(self.entry, 0, **{**self.settings.options, **unfetched})


@dataclass(frozen=True)
class Measurement:
    """How to measure. `batch` None: the best of 1 to 512; `again`: repeat existing measurements."""

    reporter: Reporter
    command: str
    effort: Effort = FULL
    device: str = AUTO
    threads: int | None = None
    batch: int | None = None
    again: bool = False
    time_pipelines: TimePipelines | None = None
    way: Way = DEFAULT

    @cached_property
    def provenance(self) -> Provenance:
        """The results' provenance; looked up when something is measured."""
        return collect_provenance(self.command)

    @cached_property
    def packages(self) -> dict[str, str]:
        """The versions of what is installed."""
        return list_packages()

    @cached_property
    def host(self) -> str:
        """The machine and the request, as far as known before any backend is imported."""
        asked = {"device": self.device if self.device != AUTO else "", "threads": self.threads, "batch": self.batch}
        asked |= {"by": str(self.way) if self.way != DEFAULT else ""}
        asked |= {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")}
        parts = [name_processor(), f"{available_cores()} cores", *(f"{k} {v}" for k, v in asked.items() if v)]
        return ", ".join(parts)


def make_effort(seconds: float) -> Effort:
    """Return the effort of `bench speed`, for another duration."""
    return FULL._replace(seconds=seconds)


def measure(subject: Subject, how: Measurement) -> Speed:
    """Measure one detector in this process; see `Speed` for what comes out.

    Raises:
        BenchError: it can't be made, moved to the device or run in the requested way, or doesn't score.
    """
    from .plugin_check import make_test_faces

    started, began, before = time.perf_counter(), time.process_time(), read_rss()
    made = subject.make()
    backend = find_backend(made, subject.entry.backend)
    use_way(place(made, how.device), how.way)
    cropper = get_cropper(made, subject.entry)
    crop = np.asarray(cropper(make_test_faces()[0]))
    loaded = time.perf_counter()
    with use_threads(backend, how.threads):
        device = find_device(made, backend)
        reset_peak()
        reset_device_peak(device, backend)
        clock, start = (time.process_time, began) if device.threads == 1 else (time.perf_counter, started)
        timed = _time_scoring(made, crop, start + how.effort.seconds, how, clock)
        memory = Memory(rss_peak=read_peak(), rss_before=before, device_peak=read_device_peak(device, backend))
        videos = how.time_pipelines(made, cropper, subject.settings) if how.time_pipelines else {}
        told = _describe(subject, made, crop, backend, device)
    more = {
        "clock": "processor" if device.threads == 1 else "wall",
        "memory": memory,
        "videos": videos,
        "load_s": loaded - started,
        "seconds": how.effort.seconds,
        "host": how.host,
        "provenance": how.provenance,
    }
    return Speed.model_validate({**told, **timed, **more})


def _time_scoring(made: Scores, crop: np.ndarray, deadline: float, how: Measurement, clock: Clock) -> dict[str, object]:
    """Time single images, then batches, and count other activity on the machine meanwhile."""
    from .predict_batch import score_batch

    score, effort, compiled = ShowNewPictures(partial(score_batch, made)), how.effort, _compile_seconds(made)
    single = partial(score, crop[None].copy())
    (first,) = time_calls(single, 1, 0)
    meter, runs = LoadMeter(), effort.latency_runs
    latency = summarise_latency(time_calls(single, runs, effort.seconds / 5, 5 * runs, clock))
    sizes = (how.batch,) if how.batch else BATCHES
    images = list(time_batches(score, crop, deadline, effort.seconds / 100, sizes, clock))
    return {
        "latency": latency,
        "images": images,
        "load": meter.read(),
        "first_call_s": first,
        "compile_s": _compile_seconds(made) - compiled,
    }


def _compile_seconds(made: Scores) -> float:
    return made.compile_seconds if isinstance(made, Compiles) else 0.0


def _describe(subject: Subject, made: Scores, crop: np.ndarray, backend: str, device: Device) -> dict[str, object]:
    """Return a speed record's description of what was measured."""
    own = subject.weights is None and not isinstance(made, LoadsWeights)
    return {
        "schema_version": SPEED_VERSION,
        "kind": "speed",
        "detector": subject.entry.name,
        "backend": subject.entry.backend or "any",
        "options": subject.options,
        "code": code_hash(subject.entry),
        "weights": "its own" if own else subject.told if subject.weights else RANDOM_WEIGHTS,
        "runtime": made.runtime if isinstance(made, TakesRuntime) else backend,
        "device": device.name,
        "precision": device.precision,
        "threads": device.threads,
        "image": (crop.shape[0], crop.shape[1]),
        "params": count_parameters(made),
        "flops": count_flops(made, crop),
        "activations": count_activations(made, crop),
        "architecture": subject.architecture,
    }
