"""Finds the requested detector by name or checkpoint, with its settings, and loads its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...detectors import create_from, get_cropper, load_from
from ...detectors.runtimes import DEFAULT, Way, parse_way, use_way
from ..core.checkpoints import CheckpointHeader, find_named_detector, read_header
from ..core.contracts import Cropper, LoadsWeights, Scores
from ..core.device_use import DeviceUse
from ..core.errors import BenchError
from ..core.keys import SHA, START, code_hash, file_hash, name_start
from ..core.precisions import AUTO
from ..core.progress import Reporter
from ..core.registry import Entry, detectors
from ..core.settings import Settings, load_settings
from .device_report import describe_device
from .devices import check_device, find_backend, place
from .runtime_records import read_choice


@dataclass(frozen=True)
class DetectorRequest:
    """The requested detector and changes to its recipe, as typed; without `name`, the checkpoint's detector."""

    name: str = ""
    backend: str = ""
    checkpoint: Path | None = None
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    runtime: str = ""
    precision: str = ""
    device: str = AUTO


@dataclass(frozen=True, eq=False)
class LoadedDetector:
    """A detector with its weights, its cropper, and its origin."""

    entry: Entry
    settings: Settings
    detector: Scores
    cropper: Cropper
    checkpoint: Path | None
    asked: Way = DEFAULT
    device: str = AUTO

    def key_content(self, way: Way = DEFAULT) -> list[object]:
        """Return what the scores depend on besides the faces."""
        weights = file_hash(self.checkpoint) if self.checkpoint else None
        options = name_start(self.entry.drop_defaults(self.settings.options))
        run_by = [] if way == DEFAULT else [str(way)]
        return [weights, code_hash(self.entry), self.entry.backend, options, *run_by]

    def settle_runtime(self, images: int, reporter: Reporter) -> Way:
        """Set up scoring of `images` images as requested, and return how; `auto` uses a run's choice for the
        checkpoint.

        Raises:
            BenchError: the requested way isn't available here.
        """
        choice = read_choice(self.checkpoint.parent, self.asked, self.device) if self.checkpoint else None
        way = self.asked if not self.asked.is_open else (choice and choice.decide(images)) or DEFAULT
        use_way(self.detector, way)
        if self.asked.is_open:
            reporter.say(
                f"scored with {way}: {'as a run chose' if choice else 'no run has chosen for this checkpoint'}"
            )
        elif way != DEFAULT and not choice:
            reporter.say(f"scored with {way}, which no run has compared with torch fp32 for this checkpoint")
        return way

    def tell_device(self, batch: int, reporter: Reporter) -> DeviceUse:
        """Say what it scores on, batches of so many images, and return it."""
        device = describe_device(self.detector, find_backend(self.detector, self.entry.backend), batch)
        reporter.say(f"scoring on {device.describe()}")
        return device


def load_resolved_settings(
    detector: str,
    *,
    demo: bool,
    made_from: Mapping[str, object] | None = None,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    tagged: bool = True,
) -> Settings:
    """Load a detector's resolved settings: the face finder `auto` becomes the one that it currently means here.

    Keys, face stores and rows contain these settings, so never `auto`. See `load_settings` for the arguments.

    Raises:
        BenchError: see `load_settings`; or the face finder is unknown or its file is missing.
    """
    from ...datasets.faces.finder import resolve

    settings = load_settings(
        detector, demo=demo, made_from=made_from, config=config, overrides=overrides, tagged=tagged
    )
    _check_start(made_from or {}, settings)
    faces = settings.faces.model_copy(update={"finder": resolve(settings.faces.finder)})
    return settings.model_copy(update={"faces": faces})


def _check_start(made_from: Mapping[str, object], settings: Settings) -> None:
    """Check that a checkpoint gets the file that it was trained from, if any, and names no other itself.

    Raises:
        BenchError: another file is given, or the checkpoint's header names one.
    """
    options = made_from.get("options", {})
    told = options.get(START) if isinstance(options, Mapping) else None
    if not isinstance(told, str):
        return
    given = name_start(settings.options).get(START)
    if name_start({START: told})[START] != told:
        raise BenchError(f"the checkpoint's header names a file, {told[:60]}, which crossfake never writes")
    if told.startswith(SHA) and isinstance(given, str) and given != told:
        raise BenchError(
            f"the checkpoint was trained from another file than --pretrained: {told[:19]}..., not {given[:19]}..."
        )


def find_detector(request: DetectorRequest) -> tuple[Entry, CheckpointHeader]:
    """Return the requested detector, and what the checkpoint says about its origin.

    Raises:
        BenchError: no such checkpoint, detector, runtime or device; no detector is named; or the header names code.
    """
    parse_way(request.runtime, request.precision)
    made_from = read_header(request.checkpoint) if request.checkpoint else {}
    found = (
        detectors.find(request.name, request.backend)
        if request.name
        else find_named_detector(made_from, request.checkpoint, request.backend)
    )
    check_device(request.device, [found.backend])
    return found, made_from


def load_detector(request: DetectorRequest, demo: bool) -> LoadedDetector:
    """Load the requested detector with its weights and settings; `demo`: for data of the demo world.

    Raises:
        BenchError: see `find_detector`, `load_resolved_settings` and `crossfake.detectors.create`; or it needs weights.
    """
    entry, made_from = find_detector(request)
    settings = load_resolved_settings(
        entry.name, demo=demo, made_from=made_from, config=request.config, overrides=request.overrides
    )
    if request.checkpoint:
        detector = load_from(entry, request.checkpoint, **settings.options)
    else:
        refuse_weightless(entry)
        detector = create_from(entry, None, **settings.options)
        if isinstance(detector, LoadsWeights):  # The card doesn't say, or a function makes the detector.
            raise _make_weightless_error(entry)
    place(detector, request.device)
    asked = parse_way(request.runtime, request.precision)
    cropper = get_cropper(detector, entry)
    return LoadedDetector(entry, settings, detector, cropper, request.checkpoint, asked, request.device)


def refuse_weightless(entry: Entry) -> None:
    """Reject a detector without weights if its card says that it needs some, before any are downloaded.

    Raises:
        BenchError: it needs weights.
    """
    if "can" in entry.card and "load" in entry.capabilities:
        raise _make_weightless_error(entry)


def _make_weightless_error(entry: Entry) -> BenchError:
    return BenchError(f"{entry.name} needs weights: --checkpoint FILE. To train it: bench train {entry.name}")
