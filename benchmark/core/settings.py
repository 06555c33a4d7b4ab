"""Recipes: configs/*.yaml merged into typed settings, where an unknown key is an error that names its neighbour.

The layers, each over the one before: the defaults below, `configs/<detector>.yaml`, `configs/demo.yaml` on the demo
world, a checkpoint's header, `--config` with a file or the name of one of configs/, `--set key=value`. A
recipe may hold a `detectors:` section with settings for one detector.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import BenchError, make_unknown_error
from .limits import MOST_BATCH, MOST_DRAWS, MOST_FRAMES
from .precisions import TrainingPrecision, keep_key, read_alias
from .readers import check_finite, parse_yaml, read_yaml, shorten, shorten_value
from .registry import ROOT

CONFIGS = ROOT / "configs"
MOST_PARTS = 20  # parts of a key such as train.epochs
LOSSLESS = "png"
"""The name of all lossless encodings of faces in keys: images are identical with any of them."""
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class FrozenSettings(BaseModel):
    """A frozen group of settings that refuses keys it doesn't know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FaceSettings(FrozenSettings):
    """How videos become faces. All but `crops` changes the numbers, and so is part of the face store's key.

    Recipes may leave the finder at `auto`; it is chosen when settings are loaded for work (stages/detectors.py).
    """

    frames: int = Field(
        32, ge=1, le=MOST_FRAMES, description="evenly spaced frames per video: linspace(0, n - 1, frames), truncated"
    )
    finder: str = Field("auto", description="what finds faces and landmarks; see docs/faces.md")
    context: float = Field(2.0, gt=1, description="side of the context crop, relative to the landmarks' square box")
    encoding: Literal["zstd", "png", "jpeg95", "jpeg444"] = Field(
        "zstd",
        description="how context crops are stored; zstd (the fastest) and png are lossless and share keys; "
        "jpeg95 takes about a quarter of the space, jpeg444, with full colour, about a third",
    )
    crops: Literal["cut", "keep"] = Field(
        "cut",
        description="keep: each detector's own crops are kept next to the faces, so that they are cut only once; "
        "changes no number",
    )
    people: Literal["main", "max", "frame-max", "all"] = Field(
        "main",
        description="who is scored: main, the main person; max, the person of a video with the highest mean score; "
        "frame-max, the face with the highest score in each frame; all, everybody, in separate rows (metrics "
        "use the main person's). Training always uses the main person",
    )

    def key_content(self) -> dict[str, object]:
        """Return what goes into keys, and into a store along with its faces.

        Raises:
            ValueError: the finder is still `auto`, whose meaning depends on the machine.
        """
        if self.finder == "auto":
            raise ValueError("the face finder is not chosen yet: see stages/detectors.py, load_resolved_settings")
        left_out = {"crops"} | ({"people"} if self.people == "main" else set())  # Keys of before that choice stay.
        lossless = {"encoding": LOSSLESS} if self.encoding in ("zstd", LOSSLESS) else {}
        return self.model_dump(exclude=left_out) | lossless


class TrainSettings(FrozenSettings):
    """How a detector is trained; selection is always on the training set's own validation split.

    The defaults are DeepfakeBench's recipe for plain classifiers.
    """

    epochs: int = Field(10, ge=0, description="0: no training; the detector is tested with its initial weights")
    steps_per_epoch: int | None = Field(None, ge=1, description="None: until each training frame has been drawn once")
    batch_size: int = Field(32, ge=1, le=MOST_BATCH, description="training frames per step")
    balance: bool = Field(
        False, description="draw equal numbers of real and fake frames, instead of all frames in turn"
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adam", description="adam adds weight decay to the gradient, adamw to the step"
    )
    lr: float = Field(2e-4, gt=0, description="learning rate of the first epoch, after warm-up")
    lr_steps: list[tuple[int, float]] = Field([], description="(epoch, lr): from this epoch on, this learning rate")
    schedule: Literal["steps", "cosine"] = Field(
        "steps", description="steps: lr and lr_steps as given; cosine: the same, falling to 0 over the training"
    )
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises linearly")
    weight_decay: float = Field(5e-4, ge=0, description="decay of all weights, with any optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    clip_value: float | None = Field(None, gt=0, description="clip each gradient entry to +- this")
    sharpness: Literal["none", "sam", "asam"] = Field(
        "none", description="flatten the loss: step with the gradients of the worst point within rho (two passes)"
    )
    rho: float = Field(0.05, gt=0, description="radius of sam; asam, which scales it by each weight, needs about 0.5")
    precision: Annotated[TrainingPrecision, BeforeValidator(read_alias)] = Field(
        "fp32",
        description="number format in training; auto: bf16 if the device supports it. --precision is for scoring",
    )
    threads: int | None = Field(None, ge=1, description="processor threads; part of the key, since sums depend on it")
    micro_batch: int | None = Field(
        None,
        ge=1,
        le=MOST_BATCH,
        description="frames of a step that are computed at once, to fit into memory. The pieces' gradients add up to "
        "the whole batch's, and no key changes, but batch norms see one piece at a time. None: all",
    )
    remat: bool = Field(
        False,
        description="JAX: keep only blocks' inputs for the backward pass, which runs them again: less memory on GPUs "
        "and TPUs, about a third more arithmetic, and no key changes",
    )
    compile: bool = Field(
        False, description="PyTorch: compile the losses; takes minutes to start, and changes last digits and the key"
    )
    val_frames: int | None = Field(
        None, ge=1, le=MOST_FRAMES, description="frames of each validation video that select the epoch; None: all"
    )
    val_every: int = Field(1, ge=1, description="validate after every n-th epoch, and after the last")

    def key_content(self) -> dict[str, object]:
        """Return what goes into keys: later settings only if not at their default, micro_batch and remat never."""
        later = {"val_frames": self.val_frames is None, "val_every": self.val_every == 1, "compile": not self.compile}
        usual = {name for name, is_usual in later.items() if is_usual}
        content = self.model_dump(exclude={"micro_batch", "remat", *usual})
        return content | {"precision": keep_key(self.precision)}

    def learning_rate(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step (from 0 on), the same for every backend."""
        epoch = step // steps_per_epoch
        rate = [self.lr, *(lr for start, lr in self.lr_steps if epoch >= start)][-1]
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / total_steps))
        return rate * min(1.0, (step + 1) / (self.warmup_steps + 1))


class ScoreSettings(FrozenSettings):
    """How predictions become a scorecard."""

    draws: int = Field(1000, ge=0, le=MOST_DRAWS, description="draws for intervals of gaps and calibration errors")


Layer = dict[str, object]
"""Settings by key, possibly nested, from one recipe, header or `--set`."""


class Settings(FrozenSettings):
    """Everything about a cell that a recipe can set."""

    tag: str = Field("", description="name of the variant in the row: `small` gives `caddm.small`")
    options: dict[str, object] = Field({}, description="the detector's own options, as `bench info NAME` lists them")
    faces: FaceSettings = FaceSettings()
    train: TrainSettings = TrainSettings()
    score: ScoreSettings = ScoreSettings()


def load_settings(
    detector: str,
    *,
    demo: bool,
    made_from: Mapping[str, object] | None = None,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    tagged: bool = True,
) -> Settings:
    """Merge the layers for one detector.

    Args:
        detector: its registered name.
        demo: whether the data is the demo world.
        made_from: a checkpoint's header; its options and face settings belong to the weights.
        config: the user's recipe.
        overrides: the user's `key=value` settings.
        tagged: whether the shipped recipes name the variant. They don't if nothing is trained.

    Raises:
        BenchError: a file is missing or isn't YAML, or a key or value isn't valid; names file, key and nearest key.
    """
    shipped = [CONFIGS / f"{detector.partition(':')[0]}.yaml", *([CONFIGS / "demo.yaml"] if demo else [])]
    merged: Layer = {}
    for file in shipped:
        merged = _merge(merged, _load_layer(file, detector) if file.exists() else {})
    tag = merged.pop("tag", "")
    own = {k: v for k, v in (made_from or {}).items() if k in ("tag", "options", "faces")}
    _check_keys(own, "the checkpoint's header")
    if isinstance(faces := own.get("faces"), Mapping) and faces.get("encoding") == LOSSLESS:
        own["faces"] = {**faces, "encoding": FaceSettings().encoding}
    # Its options replace those of recipes: an option left at its default then must not change by a recipe now.
    merged = _merge({k: v for k, v in merged.items() if k != "options" or k not in own}, own)
    merged = _merge(merged, _load_layer(find_recipe(config), detector) if config else {})
    for override in overrides:
        layer = _parse_override(override)
        _check_keys(layer, f"--set {shorten(override)}")
        merged = _merge(merged, layer)
    settings = Settings.model_validate(merged)
    named = tagged and settings.train.epochs and "tag" not in merged
    return settings.model_copy(update={"tag": tag}) if named else settings


def find_recipe(given: Path) -> Path:
    """Return the file given with --config, or the shipped recipe of this name.

    Raises:
        BenchError: neither exists; names the nearest recipe.
    """
    shipped = CONFIGS / f"{given.name}.yaml"
    if given.is_file():
        return given
    if given == Path(given.name) and shipped.is_file():
        return shipped
    recipes = sorted(p.stem for p in CONFIGS.glob("*.yaml"))
    told = f"Recipes that ship with crossfake: {', '.join(recipes)} (in {CONFIGS})"
    raise make_unknown_error(f"no config file {given}", given.stem, recipes, told)


def _read_yaml(file: Path) -> Layer:
    content = read_yaml(file) or {}
    if not isinstance(content, dict):
        raise BenchError(f"{file} holds a {type(content).__name__}, not keys and values such as 'train: {{epochs: 3}}'")
    return content


def _load_layer(file: Path, detector: str) -> Layer:
    content = _read_yaml(file)
    sections = content.pop("detectors", None) or {}
    _check_keys(content, str(file))
    if not isinstance(sections, dict):
        raise BenchError(f"{file}: detectors = {shorten(sections)}: expected settings by name, as meso4: {{tag: mine}}")
    sections = {name: section or {} for name, section in sections.items()}
    for name, section in sections.items():
        _check_keys(section, f"{file} (detectors: {name})")
    return _merge(content, sections.get(detector) or sections.get(detector.partition(":")[0], {}))


def _parse_override(text: str) -> Layer:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise BenchError(f"--set {shorten(text)}: expected key=value, such as --set train.epochs=3")
    given = _parse_number(parse_yaml(value, f"--set {shorten(path)}: '{shorten(value)}'"))
    *sections, name = path.split(".")
    if len(sections) >= MOST_PARTS:
        raise BenchError(f"--set {shorten(path)}: a key has at most {MOST_PARTS} parts")
    layer: Layer = {name: given}
    for section in reversed(sections):
        layer = {section: layer}
    return layer


def _parse_number(value: object) -> object:
    """Read 1e-4 as a number, which YAML doesn't."""
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    return value


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> Layer:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def _check_keys(layer: object, layer_name: str) -> None:
    check_finite(layer, layer_name)
    try:
        Settings.model_validate(layer)
    except ValidationError as error:
        first = error.errors()[0]
        key = shorten(".".join(str(p) for p in first["loc"])) or "it"
        if first["type"] != "extra_forbidden":
            raise BenchError(f"{layer_name}: {key} = {shorten_value(first['input'])}: {first['msg']}") from None
        problem, known = f"{layer_name}: unknown key '{key}'", list_keys()
        raise make_unknown_error(problem, key, known, f"Known keys: {', '.join(known)}") from None


def list_keys(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """List every dotted settings key."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += list_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
