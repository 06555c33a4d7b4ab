"""Scorecards and failures: what is known of one cell. Each is written and read through the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, PrivateAttr, TypeAdapter, ValidationError, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from .cell_description import CellDescription
from .display import escape_texts
from .errors import BenchError
from .group_comparisons import AttributeTests
from .migrations import SCHEMA_VERSION, find_version, upgrade
from .provenance import Provenance
from .readers import parse_json, read_text, safe_relative_path
from .readers.json_files import MOST_BYTES
from .records import EstimateField, JsonValue, Record, as_json, describe_flaw
from .source_validation import SourceValidation
from .storage import FAILURE, PREDICTIONS, SCORECARD
from .types import Estimate

Level = Literal["frame", "video"]
LEVELS: tuple[Level, ...] = ("frame", "video")
UNKNOWN = Estimate(None, None, None, 0, "not measured")
NO_THRESHOLD = "0.5"
"""The rule of a threshold that was fixed on nothing."""


class MethodCell(Record):
    """The videos of one manipulation against all real ones; `tpr` is at the threshold, and not in older files."""

    auc: EstimateField = Field(validation_alias="video.auc", serialization_alias="video.auc")
    n_fake: int
    tpr: EstimateField = Field(UNKNOWN, validation_alias="video.tpr", serialization_alias="video.tpr")


class LevelCell(Record):
    """A group at one level: how many real and fake videos or frames, and its rates.

    `fpr_at_fpr5` is its FPR where that is 5 % overall; `left_out` says why it doesn't enter the gaps, if it doesn't.
    """

    n_real: int
    n_fake: int
    auc: EstimateField
    fpr: EstimateField = UNKNOWN
    tpr: EstimateField = UNKNOWN
    fpr_at_fpr5: EstimateField = UNKNOWN
    left_out: str = ""


class GroupCell(Record):
    """A group of people: its videos, and their frames.

    In files both lie beside each other: `n_real`, `n_fake` and `left_out` are of videos, `frame.n_real` of frames, and
    each rate has its level before it (`video.auc`).
    """

    video: LevelCell
    frame: LevelCell | None = None

    @model_validator(mode="before")
    @classmethod
    def _sort_by_level(cls, content: object) -> object:
        if not isinstance(content, dict) or isinstance(content.get("video"), LevelCell):
            return content
        found: dict[str, object] = {"video": (video := {})}
        for key, value in content.items():
            level, dot, name = str(key).partition(".")
            if dot and level in ("video", "frame"):
                levels = found.setdefault(level, {})
                assert isinstance(levels, dict)
                levels[name] = value
            elif key in LevelCell.model_fields:
                video[key] = value
            else:
                found[key] = value
        return found

    @model_serializer(mode="wrap")
    def _lay_side_by_side(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        nested: dict[str, JsonValue] = write(self)
        flat: dict[str, JsonValue] = {}
        for level, content in nested.items():
            if level not in ("video", "frame") or not isinstance(content, dict):
                flat[level] = content
                continue
            for name, value in content.items():
                bare = level == "video" and name in ("n_real", "n_fake", "left_out")
                if name != "left_out" or value:
                    flat[name if bare else f"{level}.{name}"] = value
        return flat

    def describe_level(self, level: Level) -> dict[str, JsonValue]:
        """Return what is written where only one level was asked for: `n_real` and `n_fake` are its own."""
        (other,) = (name for name in LEVELS if name != level)
        own = {key: value for key, value in self.to_json().items() if not key.startswith(f"{other}.")}
        return own | {n: own.pop(f"{level}.{n}") for n in ("n_real", "n_fake") if f"{level}.{n}" in own}


Groups = dict[str, dict[str, GroupCell]]
"""By attribute and group."""


Point = Annotated[tuple[float, float], Field(strict=False)]
Polygon = list[Point]


class Histogram(Record):
    """The share of each class in equal bins of the scores 0 ... 1."""

    real: list[float]
    fake: list[float]


class Curves(Record):
    """What charts are drawn from; the last three only where scores are probabilities.

    `roc` is (FPR, TPR); `reliability` (mean score, share of fakes) of bins with `reliability_n` videos.
    """

    roc: list[Point] = Field(default_factory=list)
    histogram: Histogram | None = None
    reliability: list[Point] = Field(default_factory=list)
    reliability_n: list[int] = Field(default_factory=list)


class Threshold(Record):
    """The operating point on P(fake), and where it comes from in words."""

    value: float
    rule: str


class Counts(Record):
    """How much was scored."""

    videos: int = 0
    real_videos: int = 0
    fake_videos: int = 0
    frames: int = 0


class Dropped(Record):
    """A video that couldn't be scored, and why; label and method aren't in older files."""

    video: str
    reason: str
    label: int | None = None
    method: str = ""


class Coverage(Record):
    """How many videos were to be scored, how many were, and what became of the others.

    Of those scored, `several_people` have frames with more than one face; None in older files.
    """

    official: int
    scored: int
    dropped: list[Dropped]
    several_people: int | None = None


class Throughput(Record):
    """Images scored, and at what pace: by the detector alone (None if unknown), and from store to score.

    That is how long this scoring took, whatever else ran beside it, and no speed to compare by: see `speeds.Speed`.
    """

    images: int = 0
    score_images_per_s: float | None = None
    pipeline_images_per_s: float | None = None
    compile_s: float | None = None


class Scoring(Record):
    """How predictions became a scorecard: how often what has no closed interval was drawn."""

    draws: int


class LevelMetrics(NamedTuple):
    """The metrics of videos, or of frames; each without a value where it wasn't measured."""

    auc: Estimate = UNKNOWN
    ap: Estimate = UNKNOWN
    eer: Estimate = UNKNOWN
    tpr_at_fpr1: Estimate = UNKNOWN
    tpr_at_fpr5: Estimate = UNKNOWN
    acc: Estimate = UNKNOWN
    ece: Estimate = UNKNOWN
    brier: Estimate = UNKNOWN
    ece_scaled: Estimate = UNKNOWN
    brier_scaled: Estimate = UNKNOWN


class _Filed(Record):
    """What may lie in a file."""

    _path: Path = PrivateAttr(default=Path())
    _written_version: int = PrivateAttr(default=SCHEMA_VERSION)

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        return self._path

    @property
    def folder(self) -> Path:
        """Where that lies."""
        return self._path.parent

    @property
    def written_version(self) -> int:
        """The schema that it was written in."""
        return self._written_version

    @property
    def is_current(self) -> bool:
        """Whether it was written in today's schema."""
        return self._written_version == SCHEMA_VERSION

    def place(self, path: Path, version: int = SCHEMA_VERSION) -> Self:
        """Return the same as read from the file `path`, which was written in schema `version`."""
        copy = self.model_copy()
        copy._path, copy._written_version = path, version
        return copy


class Failure(_Filed):
    """Why a cell has no scorecard: it `failed`, or was `skipped` since its training had failed before."""

    schema_version: int
    kind: Literal["failure"]
    status: Literal["failed", "skipped"]
    error: str
    cell: CellDescription
    provenance: Provenance | None = None


def _require_within(path: str) -> str:
    """Refuse a file's name that would lead out of the card's folder."""
    try:
        return safe_relative_path(path, "it")
    except BenchError as error:
        raise ValueError(str(error)) from None


PathWithin = Annotated[str, AfterValidator(_require_within)]
"""A file in the card's folder, or below."""


class ScoreCard(_Filed):
    """What was measured of a table of predictions, and where that comes from.

    `group_tests` are by attribute; `method_groups` by attribute, group and method, against the group's real videos.
    `metrics` are by name, such as `video.auc`; `video` and `frame` have them by attribute, `card.video.auc.value`.
    `faces` is the folder of the face store, `artifacts` the outlines of what a detector takes for artifacts, by video.
    `predictions` is their file, beside the scorecard's, and `validation` that which the threshold was fixed on.
    `level` is the one that groups and gaps were asked for, where it wasn't both.
    """

    schema_version: int
    kind: Literal["scorecard"]
    status: Literal["done"]
    cell: CellDescription
    metrics: dict[str, EstimateField]
    methods: dict[str, MethodCell]
    groups: Groups
    group_tests: dict[str, AttributeTests] = Field(default_factory=dict)
    method_groups: dict[str, dict[str, dict[str, MethodCell]]] = Field(default_factory=dict)
    curves: Curves
    threshold: Threshold
    temperature: float | None = None
    source_validation: SourceValidation | None = None
    counts: Counts = Counts()
    remarks: list[str] = Field(default_factory=list)
    coverage: Coverage
    throughput: Throughput | None = None
    params: int | None = None
    flops: int | None = None
    faces: str | None = None
    artifacts: dict[str, list[Polygon]] = Field(default_factory=dict)
    score: Scoring | None = None
    validation: PathWithin | None = None
    provenance: Provenance | None = None
    predictions: PathWithin = PREDICTIONS
    predictions_sha256: str = ""
    level: Level | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the card as it is written; of one `level`, its groups are without the other one's numbers."""
        content = super().to_json()
        if self.level is None:
            return content
        groups = {a: {g: c.describe_level(self.level) for g, c in cells.items()} for a, cells in self.groups.items()}
        return content | {"groups": as_json(groups)}

    @property
    def video(self) -> LevelMetrics:
        """The metrics of videos."""
        return self._select_level("video")

    @property
    def frame(self) -> LevelMetrics:
        """The metrics of frames."""
        return self._select_level("frame")

    def _select_level(self, level: Level) -> LevelMetrics:
        found = {name: self.metrics.get(f"{level}.{name}", UNKNOWN) for name in LevelMetrics._fields}
        return LevelMetrics(**found)

    @property
    def predictions_path(self) -> Path:
        """Where the predictions are, unless they are gone."""
        return self.folder / self.predictions

    @property
    def draws(self) -> int:
        """How often gaps and calibration errors were drawn for their intervals."""
        return self.score.draws if self.score else 0

    @property
    def operating_point(self) -> tuple[float | None, float | None, float | None]:
        """The threshold, temperature and prior it was made with; None where it had none."""
        threshold = None if self.threshold.rule == NO_THRESHOLD else self.threshold.value
        return threshold, self.temperature, self.source_validation.prior if self.source_validation else None

    @property
    def validation_path(self) -> Path | None:
        """Where the predictions are that the threshold was fixed on; None where there was nothing to fix it on."""
        if self.threshold.rule == NO_THRESHOLD:
            return None
        return self.folder / self.validation if self.validation else self.folder.parent / "val" / PREDICTIONS


Card = ScoreCard | Failure
_CARD: TypeAdapter[Card] = TypeAdapter(Annotated[Card, Field(discriminator="kind")])


def find_missing(card: Card) -> str:
    """Say the first thing that a run's card has and this one lacks, and how many more; empty if nothing is."""
    missing = [f"cell.{name}" for name in card.cell.list_missing()]
    missing += ["score"] if isinstance(card, ScoreCard) and card.score is None else []
    more = f" (and {len(missing) - 1} more flaws)" if len(missing) > 1 else ""
    return f"{missing[0]}: field required{more}" if missing else ""


def read_card(path: Path, hint: str = "Remove it and rerun") -> Card | None:
    """Read a scorecard or a failure of any schema so far; None for JSON of another kind.

    Args:
        path: the file. What is no plain text in its texts is escaped.
        hint: what to do about one that can't be read.

    Raises:
        BenchError: it is not JSON, from a later version, or lacks what a card has; names the file and the place in it.
    """
    text = read_text(path, MOST_BYTES)
    content = escape_texts(parse_json(text, dict, str(path), hint), text)
    if content.get("kind") not in ("scorecard", "failure"):
        if path.name in (SCORECARD, FAILURE):
            raise BenchError(f"{path} is not a crossfake scorecard. {hint}")
        return None
    try:
        version = find_version(content, str(path))
        return _CARD.validate_python(upgrade(content, version)).place(path, version)
    except ValidationError as error:
        raise BenchError(f"{path}: {describe_flaw(error, 1)}. {hint}") from None
