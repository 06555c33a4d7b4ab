"""Scorecards and failures: the results of one cell. Each is written and read with the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, PrivateAttr, TypeAdapter, ValidationError, model_serializer, model_validator

from .cell_description import CellDescription
from .display import escape_texts
from .errors import BenchError
from .group_comparisons import AttributeTests
from .migrations import SCHEMA_VERSION, find_version, upgrade
from .provenance import Provenance
from .readers import parse_json, read_text, safe_relative_path
from .readers.json_files import MOST_BYTES
from .records import EstimateField, JsonValue, Record, as_json, describe_flaw, list_set_fields
from .source_validation import SourceValidation
from .storage import FAILURE, PREDICTIONS, SCORECARD
from .types import Estimate

Level = Literal["frame", "video"]
LEVELS: tuple[Level, ...] = ("frame", "video")
UNKNOWN = Estimate(None, None, None, 0, "not measured")
NO_THRESHOLD = "0.5"
"""The rule of a threshold that wasn't fixed on any data."""


class MethodCell(Record):
    """The videos of one manipulation against all real ones; `tpr` is at the threshold, and missing in older files."""

    auc: EstimateField = Field(validation_alias="video.auc", serialization_alias="video.auc")
    n_fake: int
    tpr: EstimateField = Field(UNKNOWN, validation_alias="video.tpr", serialization_alias="video.tpr")


class LevelCell(Record):
    """A group at one level: how many real and fake videos or frames, and its rates.

    `fpr_at_fpr5` is its FPR at 5 % overall FPR; `left_out` says why it isn't part of the gaps, if so.
    """

    n_real: int
    n_fake: int
    auc: EstimateField
    fpr: EstimateField = UNKNOWN
    tpr: EstimateField = UNKNOWN
    fpr_at_fpr5: EstimateField = UNKNOWN
    left_out: str = ""


_OF_A_LEVEL = frozenset(LevelCell.model_fields)


class GroupCell(Record):
    """A group of people: its videos, and their frames.

    In files both are side by side: `n_real`, `n_fake` and `left_out` count videos, `frame.n_real` frames, and each rate
    is prefixed with its level (`video.auc`).
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
            elif key in _OF_A_LEVEL:
                video[key] = value
            else:
                found[key] = value
        return found

    @model_serializer
    def _lay_side_by_side(self) -> dict[str, JsonValue]:
        flat: dict[str, JsonValue] = {}
        for level, content in list_set_fields(self):
            if not isinstance(content, LevelCell):
                flat[level] = as_json(content)
                continue
            for name, value in list_set_fields(content):
                bare = level == "video" and name in ("n_real", "n_fake", "left_out")
                if name != "left_out" or value:
                    flat[name if bare else f"{level}.{name}"] = as_json(value)
        return flat

    def to_json(self) -> dict[str, JsonValue]:
        """Return the cell with the file's keys, as it is written: in half the time of the model's own way."""
        return self._lay_side_by_side()

    def describe_level(self, level: Level) -> dict[str, JsonValue]:
        """Return the cell as written if only one level was requested: `n_real` and `n_fake` are that level's."""
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
    """The data of charts; the last three only if scores are probabilities.

    `roc` is (FPR, TPR); `reliability` (mean score, share of fakes) of bins with `reliability_n` videos.
    """

    roc: list[Point] = Field(default_factory=list)
    histogram: Histogram | None = None
    reliability: list[Point] = Field(default_factory=list)
    reliability_n: list[int] = Field(default_factory=list)


class Threshold(Record):
    """The operating point on P(fake), and its origin in words."""

    value: float
    rule: str


class Counts(Record):
    """How much was scored."""

    videos: int = 0
    real_videos: int = 0
    fake_videos: int = 0
    frames: int = 0


class Dropped(Record):
    """A video that couldn't be scored, and why; label and method are missing in older files."""

    video: str
    reason: str
    label: int | None = None
    method: str = ""


class Coverage(Record):
    """How many videos are on the official list, how many were scored, and what happened to the others.

    `several_people` of the scored videos have frames with more than one face; None in older files.
    """

    official: int
    scored: int
    dropped: list[Dropped]
    several_people: int | None = None


class Throughput(Record):
    """The number of images scored, and the pace: of the detector alone (None if unknown), and from store to score.

    The pace depends on whatever else ran at the time. For speeds that can be compared, see `speeds.Speed`.
    """

    images: int = 0
    score_images_per_s: float | None = None
    pipeline_images_per_s: float | None = None
    compile_s: float | None = None


class Scoring(Record):
    """How predictions became a scorecard: the number of draws for intervals without a closed form."""

    draws: int


class LevelMetrics(NamedTuple):
    """The metrics of videos, or of frames; a metric that wasn't measured has no value."""

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
    """The content of a result file."""

    _path: Path = PrivateAttr(default=Path())
    _written_version: int = PrivateAttr(default=SCHEMA_VERSION)

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder of that file."""
        return self._path.parent

    @property
    def written_version(self) -> int:
        """The schema it was written in."""
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
    """Why a cell has no scorecard: it `failed`, or was `skipped` because its training had failed."""

    schema_version: int
    kind: Literal["failure"]
    status: Literal["failed", "skipped"]
    error: str
    cell: CellDescription
    provenance: Provenance | None = None


def _require_within(path: str) -> str:
    """Refuse a file name that leads out of the card's folder."""
    try:
        return safe_relative_path(path, "it")
    except BenchError as error:
        raise ValueError(str(error)) from None


PathWithin = Annotated[str, AfterValidator(_require_within)]
"""A file in the card's folder, or below."""


class ScoreCard(_Filed):
    """The metrics of a table of predictions, and their origin.

    `group_tests` are by attribute, `method_groups` by attribute, group and method, against the group's real videos.
    `metrics` are by name, such as `video.auc`; `video` and `frame` have them by attribute, `card.video.auc.value`.
    `faces` is the folder of the face store, `artifacts` the outlines of what a detector takes for artifacts, by video.
    `predictions` is their file, next to the scorecard's, and `validation` the file that the threshold was fixed on.
    `level` is that of groups and gaps, if only one was requested.
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
        """Return the card as it is written; with a `level`, groups lack the other level's numbers."""
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
        """The path of the predictions; None if they are missing."""
        return self.folder / self.predictions

    @property
    def draws(self) -> int:
        """The number of draws for the intervals of gaps and calibration errors."""
        return self.score.draws if self.score else 0

    @property
    def operating_point(self) -> tuple[float | None, float | None, float | None]:
        """The threshold, temperature and prior it was made with; None if it had none."""
        threshold = None if self.threshold.rule == NO_THRESHOLD else self.threshold.value
        return threshold, self.temperature, self.source_validation.prior if self.source_validation else None

    @property
    def validation_path(self) -> Path | None:
        """The path of the predictions that the threshold was fixed on; None if there are none."""
        if self.threshold.rule == NO_THRESHOLD:
            return None
        return self.folder / self.validation if self.validation else self.folder.parent / "val" / PREDICTIONS


Card = ScoreCard | Failure
_CARD: TypeAdapter[Card] = TypeAdapter(Annotated[Card, Field(discriminator="kind")])


def find_missing(card: Card) -> str:
    """Name the first field of a run's card that this one lacks, and count the others; empty if it lacks none."""
    missing = [f"cell.{name}" for name in card.cell.list_missing()]
    missing += ["score"] if isinstance(card, ScoreCard) and card.score is None else []
    more = f" (and {len(missing) - 1} more flaws)" if len(missing) > 1 else ""
    return f"{missing[0]}: field required{more}" if missing else ""


def read_card(path: Path, hint: str = "Remove it and rerun") -> Card | None:
    """Read a scorecard or a failure of any schema so far; None for JSON of another kind.

    Args:
        path: the file. Control characters in its texts are escaped.
        hint: what to do about a file that can't be read.

    Raises:
        BenchError: it is not JSON, is from a later version, or lacks a field; names the file and the place in it.
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
