"""Everything that needs a GPU, in one script: a table of what was compared, and exit code 1 if a number is wrong.

    .venv/bin/python benchmarks/gpu/check.py                          # under 8 minutes; exit code 2 without a GPU
    .venv/bin/python benchmarks/gpu/check.py --device cpu --quick     # the same code on a processor, as a test does

Weights are random, nothing is downloaded; one training is on the tiny demo world. Checks that don't apply here are
reported as skipped. Times are informative: the exit code doesn't depend on them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import crossfake
import numpy as np
import torch
from crossfake.benchmark.core.device_names import CUDA
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors as registry
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.stages.cost import count_flops
from crossfake.benchmark.stages.device_report import describe_device
from crossfake.benchmark.stages.out_of_memory import BatchScorer
from crossfake.benchmark.stages.training_state import Progress
from crossfake.benchmark.stages.training_steps import StepTaker
from crossfake.detectors import create_from
from crossfake.detectors.common.options import list_options
from crossfake.detectors.common_torch import detector as detector_module
from crossfake.detectors.common_torch import training as training_module
from crossfake.detectors.common_torch.detector import TorchDetector
from crossfake.detectors.common_torch.sharpness import override_batch_norms
from crossfake.detectors.common_torch.transfers import Feed
from crossfake.detectors.runtimes import Way, find_obstacle, use_way
from tabulate import tabulate

LIMITS = {"fp32": 1e-4, "tf32": 0.03, "bf16": 0.2}
"""How far scores with random weights, which amplify rounding, may be from the processor's in fp32."""
SMALL = "timm:resnet10t"
QUICK = {"meso4": {"input_size": 32}, SMALL: {"input_size": 32, "arch_args": {"channels": (8, 8, 16, 16)}}}
TRAINED = ("resnet34", "xception", "efficientnet-b4")
STEPS = 3
Options = dict[str, Any]


class Finding(NamedTuple):
    """What was compared, the difference, and its limit; without a limit it was skipped, with a reason."""

    what: str
    found: str
    limit: str
    wrong: bool = False


class Setting(NamedTuple):
    """Where and what to check: detectors by name with their options, and batch sizes for comparing and timing."""

    device: str
    subjects: dict[str, Options]
    trained: tuple[str, ...]
    batch: int
    timed: int
    seconds: float

    @property
    def is_cuda(self) -> bool:
        """Whether this is a GPU."""
        return self.device.startswith(CUDA)


def compare(what: str, apart: float, limit: float) -> Finding:
    """Judge a difference."""
    return Finding(what, f"{apart:.2g}", f"{limit:g}", not apart <= limit)  # NaN is wrong, too.


def skip(what: str, reason: str) -> Finding:
    """Report that something isn't checked here."""
    return Finding(what, f"skipped: {reason}", "")


def make(name: str, options: Options, device: str) -> TorchDetector:
    """Make a detector with the same random weights every time."""
    entry = registry.find(name, "torch")
    unfetched = {"pretrained": False} if "pretrained" in list_options(entry.load()) else {}
    made = create_from(entry, 0, **{**options, **unfetched})
    assert isinstance(made, TorchDetector)
    made.use_device(device)
    return made


def draw_images(made: TorchDetector, count: int) -> np.ndarray:
    """Return images of large random squares, uint8 (count, S, S, 3): noise images would all score the same."""
    size = getattr(made, "input_size", 224)
    squares = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.ascontiguousarray(squares.repeat(-(-size // 4), 1).repeat(-(-size // 4), 2)[:, :size, :size])


@torch.no_grad()
def settle_norms(made: TorchDetector, images: np.ndarray) -> None:
    """Give batch norms the statistics of some images, so that random weights distinguish images."""
    made.score(images[:1])
    norms = [m for m in made.network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with override_batch_norms(made.network, momentum=1.0):
        for norm in norms:
            norm.train()
        made.forward(made.normalise(torch.from_numpy(images).to(made.device)))
    made.network.eval()


def draw_batch(made: TorchDetector, count: int) -> dict[str, np.ndarray]:
    """Return a training batch for a plain classifier."""
    return {"image": draw_images(made, count), "label": np.arange(count) % 2}


# ---- what is compared


def check_report(s: Setting) -> Iterator[Finding]:
    """The device report has the device's name, and for a GPU its driver."""
    told = describe_device(make(*next(iter(s.subjects.items())), s.device), "torch", s.batch)
    lacks = not told.name or (s.is_cuda and not (told.driver and told.kind == CUDA))
    yield Finding("device report", told.describe(), "name, and a GPU's driver", lacks)


def check_scores(s: Setting) -> Iterator[Finding]:
    """Each detector scores as on the processor, in each precision that the device has."""
    for name, options in s.subjects.items():
        made = make(name, options, "cpu")
        images = draw_images(made, s.batch)
        settle_norms(made, images)
        expected = made.score(images)
        yield Finding(f"{name}: spread of scores", f"{np.ptp(expected):.2g}", "")
        made.use_device(s.device)
        for precision, limit in LIMITS.items():
            way = Way("torch", precision)
            if obstacle := find_obstacle(made, way):
                yield skip(f"{name}: scores in {precision}", obstacle)
                continue
            found = use_way(made, way).score(images)
            yield compare(f"{name}: scores in {precision}", float(np.abs(found - expected).max()), limit)


def train(s: Setting, name: str, late: bool = True, feed: Feed | None = None, **settings: Any) -> list[float]:
    """Return the losses of a few steps."""
    made = make(name, s.subjects[name], s.device)
    session = made.training(TrainSettings(batch_size=s.batch, lr=1e-3, **settings), STEPS, STEPS)
    session.feed = feed or session.feed
    batch = draw_batch(made, s.batch)
    torch.manual_seed(0)  # For dropout.
    reads = [session.launch(batch) if late else partial(dict, session.step(batch)) for _ in range(STEPS)]
    return [read()["loss"] for read in reads]


def check_steps(s: Setting) -> Iterator[Finding]:
    """Prefetching, reading losses late, and layout change steps only by rounding."""
    for name in s.trained:
        expected = train(s, name, late=False, feed=PlainFeed(torch.device(s.device)))
        yield compare(f"{name}: losses with prefetch", measure_apart(train(s, name, late=False), expected), 1e-3)
        yield compare(f"{name}: losses read late", measure_apart(train(s, name), expected), 1e-3)
        yield compare(f"{name}: gradients, channels-last", compare_layouts(s, name), 0.05)


class PlainFeed(Feed):
    """Sends batches in the simplest way, for comparison."""

    def send(self, batch: Any) -> dict[str, torch.Tensor]:
        """Return a batch on the device."""
        return {name: torch.from_numpy(rows).to(self.device) for name, rows in batch.items()}


def measure_apart(found: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest relative difference."""
    return float(np.max(np.abs(np.subtract(found, expected)) / np.abs(expected)))


def compare_layouts(s: Setting, name: str) -> float:
    """Return how far apart gradients are on contiguous and on channels-last maps, relative to their size."""
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        with use_layout(layout):
            made = make(name, s.subjects[name], s.device)
            session = made.training(TrainSettings(batch_size=s.batch), 1, 1)
            torch.manual_seed(0)
            _, gradients = session.gradients(draw_batch(made, s.batch))
            found.append(np.concatenate([gradients[key].ravel() for key in sorted(gradients)]))
    return float(np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0]))


@contextmanager
def use_layout(layout: torch.memory_format) -> Iterator[None]:
    """Train with this layout of maps, on any device."""
    modules: tuple[Any, Any] = detector_module, training_module
    before = modules[0].choose_training_layout
    try:
        for module in modules:
            module.choose_training_layout = lambda device: layout
        yield
    finally:
        for module in modules:
            module.choose_training_layout = before


def check_memory(s: Setting) -> Iterator[Finding]:
    """If memory is short, scoring continues with halves, and training says what fits."""
    name = s.trained[0]
    made = make(name, s.subjects[name], s.device)
    images = np.resize(draw_images(made, 8), (4096 if s.is_cuda else 32, *draw_images(made, 1).shape[1:]))
    expected = np.resize(made.score(images[:8]), len(images))
    with limit_memory(made, s, 8):
        scorer = BatchScorer(made)
        apart = float(np.abs(scorer.score(images) - expected).max())
    wrong = not (scorer.most and scorer.most < len(images) and apart < 1e-4)
    yield Finding("a batch that doesn't fit", f"goes on with {scorer.most}, scores {apart:.2g} apart", "1e-4", wrong)
    if not s.is_cuda:
        yield skip("a training step that doesn't fit", "a processor's memory isn't limited here")
        return
    settings = TrainSettings(batch_size=4096)
    session = made.training(settings, 1, 1)
    try:
        with limit_memory(made, s, 8):
            StepTaker(session, made, settings, Progress()).take(draw_batch(made, 4096))
        told = "it did fit"
    except BenchError as error:
        told = str(error)
    yield Finding("a training step that doesn't fit", told, "it says what fits", "at once fit" not in told)


@contextmanager
def limit_memory(made: TorchDetector, s: Setting, most: int) -> Iterator[None]:
    """Leave a GPU 2 GiB; on a processor, let batches of more than `most` images fail as if memory were short."""
    if s.is_cuda:
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(made.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, 2 * 2**30 / total), made.device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, made.device)
        return
    score = made.score

    def refuse(frames: np.ndarray) -> np.ndarray:
        if len(frames) > most:
            raise torch.OutOfMemoryError(f"out of memory for {len(frames)} images")
        return score(frames)

    made.score = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        del made.score


def check_compiling(s: Setting) -> Iterator[Finding]:
    """Compiled steps and scores are those of eager torch."""
    name = s.trained[0]
    if not s.is_cuda:
        yield skip("torch.compile", "it takes a minute on a processor; a slow test has it")
        return
    apart = measure_apart(train(s, name, compile=True), train(s, name))
    yield compare(f"{name}: losses, train.compile", apart, 1e-2)
    made = make(name, s.subjects[name], s.device)
    images = draw_images(made, s.batch)
    expected = made.score(images)
    found = use_way(made, Way("compile", "fp32")).score(images)
    yield compare(f"{name}: scores, --runtime compile", float(np.abs(found - expected).max()), 1e-3)


def check_several(s: Setting) -> Iterator[Finding]:
    """A detector gives the same results on the second GPU as on the first."""
    if not s.is_cuda or torch.cuda.device_count() < 2:
        yield skip("two GPUs", f"there are {torch.cuda.device_count()}")
        return
    name, options = next(iter(s.subjects.items()))
    first, second = (make(name, options, f"cuda:{i}") for i in range(2))
    images = draw_images(first, s.batch)
    yield compare(f"{name}: scores on cuda:1", float(np.abs(first.score(images) - second.score(images)).max()), 1e-6)
    one, two = (train(s._replace(device=f"cuda:{i}"), s.trained[0]) for i in range(2))
    yield compare(f"{s.trained[0]}: losses on cuda:1", measure_apart(two, one), 1e-3)


def check_shared(s: Setting) -> Iterator[Finding]:
    """A training that two devices share has the losses of one (to `bench train`, on the tiny demo world)."""
    if s.is_cuda and torch.cuda.device_count() < 2:
        yield skip("a training shared by two GPUs", f"there are {torch.cuda.device_count()}")
        return
    alone, shared = (list_losses(s, devices) for devices in (1, 2))
    yield compare("losses of a training shared by two devices", measure_apart(shared, alone), 1e-3)


def list_losses(s: Setting, devices: int) -> list[float]:
    """Return the mean losses of the epochs of a short training of a small ResNet, which so many devices share."""
    settings: Options = {"train.epochs": 2, "train.steps_per_epoch": 2, "train.batch_size": 4, "faces.frames": 2}
    settings |= {"options.pretrained": False, **{f"options.{name}": value for name, value in QUICK[SMALL].items()}}
    with tempfile.TemporaryDirectory(prefix="crossfake-") as folder:
        how: Options = {"data": "demo:tiny", "runs": folder, "workers": 0, "progress": False, "device": s.device}
        (path,) = crossfake.train(SMALL, "ff++", settings=settings, engine=f"inline?devices={devices}", **how)
        report = json.loads((path.parent / "training.json").read_text())
    return [epoch["loss"] for epoch in report["epochs"]]


CHECKS = (check_report, check_scores, check_steps, check_memory, check_compiling, check_several, check_shared)

# ---- what is timed


def measure_peak(device: str) -> float:
    """Return the operations per second of a large matrix product in bf16."""
    size = 8192 if device.startswith(CUDA) else 256
    a = torch.ones(size, size, dtype=torch.bfloat16, device=device)
    rate = time_calls(lambda: float((a @ a)[0, 0]), 0.5)
    return rate * 2 * size**3


def time_calls(call: Callable[[], object], seconds: float) -> float:
    """Return calls per second, after an untimed one; a call ends when its result has arrived."""
    call()
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not count:
        call()
        count += 1
    return count / passed


def measure_throughput(s: Setting) -> list[dict[str, str]]:
    """Return a line for each detector and precision: images scored, steps taken, and the share of bf16's peak."""
    peak, rows = measure_peak(s.device), []
    for name in s.trained:
        for precision in LIMITS:
            made = make(name, s.subjects[name], s.device)
            way = Way("torch", precision)
            if find_obstacle(made, way):
                continue
            images = draw_images(made, s.timed)
            scored = time_calls(partial(use_way(made, way).score, images), s.seconds) * len(images)
            share = scored * (count_flops(made, images[0]) or 0) / peak
            steps = time_steps(made, s, precision)
            rates = {"scored, img/s": f"{scored:,.0f}", "of bf16's peak": f"{share:.0%}", "steps/s": f"{steps:.2f}"}
            rows.append({"detector": name, "precision": precision, "batch": str(s.timed), **rates})
    return rows


def time_steps(made: TorchDetector, s: Setting, precision: str) -> float:
    """Return training steps per second, with losses read late."""
    settings = TrainSettings.model_validate({"batch_size": s.timed, "precision": precision})
    session, batch = made.training(settings, 1000, 1000), draw_batch(made, s.timed)
    waiting = [session.launch(batch)]

    def step() -> None:
        waiting.append(session.launch(batch))
        waiting.pop(0)()

    return time_calls(step, s.seconds)


# ---- the script


def make_setting(device: str, quick: bool) -> Setting:
    """Return the checks."""
    if quick:
        return Setting(device, QUICK, (SMALL,), 4, 4, 0.05)
    torch_ones = [e for e in registry.entries() if e.backend == "torch" and "takes" not in e.card]
    subjects: dict[str, Options] = {e.name: {} for e in torch_ones}
    return Setting(device, subjects, TRAINED, 8, 64, 2.0)


def main(words: Sequence[str] | None = None) -> int:
    """Check, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=CUDA, help="cuda (default), cuda:N or cpu")
    parser.add_argument("--quick", action="store_true", help="only small networks")
    asked = parser.parse_args(words)
    if asked.device.startswith(CUDA) and not torch.cuda.is_available():
        print(f"no GPU: torch {torch.__version__} sees none. Without one: --device cpu --quick", file=sys.stderr)
        return 2
    began, setting = time.monotonic(), make_setting(asked.device, asked.quick)
    findings = [finding for check in CHECKS for finding in check(setting)]
    lines = [(f.what, f.found, f.limit, "WRONG" if f.wrong else "") for f in findings]
    print(tabulate(lines, ["what", "found", "limit", ""]))
    print(f"\n{tabulate(measure_throughput(setting), 'keys')}")
    wrong = sum(f.wrong for f in findings)
    print(f"\n{len(findings)} compared, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
