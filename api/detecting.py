"""Detectors from Python: cards, weights, scores, and what their features encode. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .data import check_dataset_names, check_splits
from .running import list_overrides, make_pool, make_reporter

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from .benchmark.core.contracts import Scores
    from .benchmark.core.progress import Reporter
    from .benchmark.core.registry import Entry
    from .benchmark.stages.detectors import DetectorRequest
    from .benchmark.stages.identity_probe import IdentityProbe
    from .benchmark.stages.media import FileResult
    from .benchmark.stages.plugin_check import Verdict
    from .detectors.common.in_memory import ModelDetector
    from .running import Settings


def list_detectors() -> list[Entry]:
    """Return all detectors, one entry per backend, each with name, aliases and card; nothing is imported."""
    from .benchmark.core.registry import detectors

    return detectors.entries()


@dataclass(frozen=True)
class PluginInfo:
    """What is known about a detector or dataset before using it.

    `options` are (name, type, default) as they are typed; `recipe` holds the settings it is trained with on real data;
    `published` holds what papers report about it.
    """

    name: str
    aliases: tuple[str, ...]
    backends: tuple[str, ...]
    card: Mapping[str, object]
    options: Sequence[tuple[str, str, str]] = ()
    recipe: Mapping[str, object] = field(default_factory=dict)
    published: Sequence[Mapping[str, str]] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


def describe(name: str) -> PluginInfo:
    """Describe a detector or dataset: its card, options, recipe and published numbers.

    Raises:
        BenchError: no such detector or dataset, or a package that it needs isn't installed.
    """
    from .benchmark.core.errors import BenchError
    from .benchmark.core.registry import datasets, detectors
    from .benchmark.core.settings import load_settings
    from .benchmark.stages.plugin_check import find_plugin
    from .detectors.common.options import tabulate_options
    from .leaderboards.published import find_published

    entry, kind = find_plugin(name)
    registry = datasets if kind == "datasets" else detectors
    backends = tuple(e.backend for e in registry.entries() if e.name == entry.name) or (entry.backend,)
    try:
        published = find_published(entry.name)
    except BenchError:  # There are no published numbers for it.
        published = []
    if kind == "datasets":
        return PluginInfo(entry.name, entry.aliases, (), entry.card, published=published)
    options = tabulate_options(entry.load(), entry.card.get("options", {}))
    recipe = load_settings(entry.name, demo=False).model_dump(mode="json")
    return PluginInfo(entry.name, entry.aliases, backends, entry.card, options, recipe, published)


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says about itself; anything missing is `unknown`.

    `videos` is the number of training and validation videos with a stored fingerprint (None: unknown);
    `training_videos` is a hash of these, as in rows.
    """

    detector: str
    tag: str
    options: Mapping[str, object]
    trained_on: str
    world: str
    seed: int | None
    selection: str
    videos: int | None
    training_videos: str

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


def describe_checkpoint(path: Path | str) -> ModelCard:
    """Describe what a checkpoint was made from and trained on; no weights are read.

    Raises:
        BenchError: no such file, or its header isn't what crossfake writes.
    """
    from .benchmark.core.cell_description import NOT_KNOWN, SOURCE_VAL
    from .benchmark.core.checkpoints import FINGERPRINT, read_header
    from .benchmark.core.keys import hash_key

    header = read_header(Path(path))
    told = header.get("trained_on", {})
    videos = told.get("videos")
    return ModelCard(
        header.get("detector", NOT_KNOWN),
        header.get("tag", ""),
        header.get("options", {}),
        told.get("dataset", NOT_KNOWN),
        told.get("world", NOT_KNOWN),
        told.get("seed"),
        told.get("selection", SOURCE_VAL if told else NOT_KNOWN),
        None if videos is None else len(videos) // FINGERPRINT,
        NOT_KNOWN if videos is None else hash_key(videos),
    )


def list_published(name: str = "") -> list[dict[str, str]]:
    """Return what papers and projects report on a detector or test set, one line per number; all if no name is given.

    Each line has source, detector, backbone, train, test, metric, level, value (0 to 1), protocol, selection (what the
    checkpoint was chosen on), citation and year.

    Raises:
        BenchError: there is nothing on a detector or test set of this name.
    """
    from .leaderboards.published import find_published

    return find_published(name)


def load_detector(
    name: str = "",
    *,
    checkpoint: Path | str | None = None,
    backend: str = "",
    settings: Settings = (),
    device: str = "auto",
) -> Scores:
    """Return a detector with its weights: `detector.score(crops)`.

    Args:
        name: as in `run`; by default what the checkpoint says it is.
        checkpoint: a file with weights; without it, the detector must not need any.
        backend: `torch` or `jax`.
        settings: single settings, such as `{"options.backbone": "resnet34"}`.
        device: where it runs; see `run`.

    Raises:
        BenchError: no such detector, checkpoint or device, or it needs weights.
    """
    from .benchmark.stages.detectors import load_detector as load

    return load(_make_request(name, checkpoint, backend, None, settings, device=device), demo=False).detector


def wrap_model(
    model: nn.Module | Callable[[np.ndarray], np.ndarray],
    *,
    size: int = 224,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    fake: int = 1,
    margin: float = 1.3,
) -> ModelDetector:
    """Make a detector from a torch `nn.Module`, or from any function of images, to pass to `run`.

    Args:
        model: takes float32 (N, 3, S, S), normalised, and returns logits: (N, 2), or one per image, (N, 1) or (N,).
        size: S, pixels of a face crop's side.
        mean: mean of each channel, red first, for pixels from 0 to 1.
        std: standard deviation, likewise.
        fake: which of two outputs is fake; for one logit, 1 if large means fake, 0 if large means real.
        margin: the crop's side relative to the face box.

    Raises:
        BenchError: the model can't be called, or a value isn't valid.
    """
    from .detectors.common.in_memory import ModelDetector

    return ModelDetector(model, size, mean, std, fake, margin)


def predict(
    files: Path | str | Sequence[Path | str] = (),
    *,
    checkpoint: Path | str | None = None,
    detector: str = "",
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    annotate: Path | str | None = None,
    batch_size: int = 32,
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
    progress: bool | Reporter = True,
) -> list[FileResult]:
    """Score pictures and videos: every face in a picture, every person in a video.

    Args:
        files: pictures, videos, and folders of them.
        checkpoint: the weights.
        detector: by default what the checkpoint says it is.
        backend: `torch` or `jax`.
        config: a recipe laid over the detector's own.
        settings: single settings.
        annotate: a folder for annotated copies, with boxes and scores drawn in.
        batch_size: images scored at once.
        runtime, precision: how to score; `auto` is what a run chose for the checkpoint. See `run`.
        device: where to run; see `run`.
        progress: see `run`.

    Returns:
        The outcome for each file: `status`, `reason`, and the scores of each person.

    Raises:
        BenchError: no such file, or no such detector or checkpoint.
    """
    from .benchmark.stages.detectors import load_detector as load
    from .benchmark.stages.media import list_files
    from .benchmark.stages.predict_files import predict_files
    from .datasets.walk import Skipped

    paths = [Path(files)] if isinstance(files, Path | str) else [Path(file) for file in files]
    skipped, reporter = Skipped(), make_reporter(progress)
    found = list_files(paths, skipped)
    for line in skipped.describe():
        reporter.say(line)
    request = _make_request(detector, checkpoint, backend, config, settings, runtime, precision, device)
    loaded = load(request, demo=False)
    return predict_files(found, loaded, reporter, batch_size, Path(annotate) if annotate else None)


def predict_dataset(
    test: str | Sequence[str],
    *,
    checkpoint: Path | str | None = None,
    detector: str = "",
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    data: Path | str | None = None,
    split: str = "test",
    limit: int | None = None,
    out: Path | str = ".",
    workers: int | None = None,
    batch_size: int = 32,
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
    progress: bool | Reporter = True,
) -> list[Path]:
    """Score a split of datasets, and return the prediction files, one per dataset; see `predict` and `run`.

    Raises:
        BenchError: a name is wrong, data is missing, or nothing could be scored.
    """
    from .benchmark.core.errors import require_known
    from .benchmark.core.types import SPLITS
    from .benchmark.stages.detectors import find_detector
    from .benchmark.stages.predict import predict_sources
    from .benchmark.stages.sources import find_root, open_source

    require_known("split", split, SPLITS)
    names, request = (
        check_dataset_names(test),
        _make_request(detector, checkpoint, backend, config, settings, runtime, precision, device),
    )
    find_detector(request)  # Before a world is rendered: a wrong name shows at once.
    reporter = make_reporter(progress)
    with make_pool(workers) as pool:
        root = find_root(data, reporter, pool)
        sources = [open_source(name, root, limit) for name in names]
        return list(predict_sources(request, sources, split, Path(out), reporter, pool, batch_size))


def probe_identity(
    test: str,
    *,
    checkpoint: Path | str,
    detector: str = "",
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    data: Path | str | None = None,
    split: str | Sequence[str] = "test",
    who: str = "target",
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: bool | Reporter = True,
) -> IdentityProbe:
    """Measure how well a detector's frozen features identify who is in a video, compared with random weights.

    Args:
        test: the dataset whose people are identified.
        checkpoint, detector: the trained weights, and their detector, by default what the checkpoint says.
        backend, config, settings, data, limit, workers, device, progress: see `run`.
        split: `train`, `val`, `test`, or several.
        who: `target`, the person in real videos, or `source`, whose face was pasted into fakes.
        seed: seed of the random weights.

    Raises:
        BenchError: a name is wrong, the detector has no features, or too few people appear in several originals.
    """
    from .benchmark.core.errors import BenchError, require_known
    from .benchmark.stages.detectors import find_detector
    from .benchmark.stages.identity_probe import WHO, probe_source
    from .benchmark.stages.sources import find_root, open_source

    splits, names = check_splits(split), check_dataset_names(test)
    if len(names) != 1:
        raise BenchError(f"--test {test}: the probe takes one dataset, such as dfd")
    require_known("person to tell", who, WHO)
    request = _make_request(detector, checkpoint, backend, config, settings, device=device)
    find_detector(request)  # Before a world is rendered: a wrong name shows at once.
    reporter = make_reporter(progress)
    with make_pool(workers) as pool:
        source = open_source(names[0], find_root(data, reporter, pool), limit)
        return probe_source(request, source, splits, who, reporter, pool, seed)


def check_plugin(
    plugin: str,
    *,
    data: Path | str | None = None,
    backend: str = "",
    settings: Settings = (),
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
) -> Iterator[Verdict]:
    """Try a detector or dataset of your own on tiny data, and yield a verdict for each part of its contract.

    Args:
        plugin: `file.py:Class`, `package.module:Class`, or a registered name.
        data: for a dataset, the folder with it.
        backend: `torch` or `jax`.
        settings: single settings, such as `{"options.size": 96}`.
        runtime, precision: also try a detector with these; `auto`: with all that are available here.
        device: where a detector is tried; see `run`.

    Raises:
        BenchError: there is no such plugin or runtime, or a dataset's folder isn't given.
    """
    from .benchmark.stages.detectors import load_resolved_settings
    from .benchmark.stages.plugin_check import find_plugin, make_check
    from .detectors.runtimes import parse_way

    entry, kind = find_plugin(plugin, backend)
    options = load_resolved_settings(entry.name, demo=False, overrides=list_overrides(settings)).options
    asked = parse_way(runtime, precision)
    yield from make_check(entry, kind, Path(data) if data else None, options, asked, device).run_checks()


def _make_request(
    name: str,
    checkpoint: Path | str | None,
    backend: str,
    config: Path | str | None,
    settings: Settings,
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
) -> DetectorRequest:
    from .benchmark.stages.detectors import DetectorRequest

    weights, recipe = (Path(p) if p else None for p in (checkpoint, config))
    return DetectorRequest(name, backend, weights, recipe, list_overrides(settings), runtime, precision, device)
