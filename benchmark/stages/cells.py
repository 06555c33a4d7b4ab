"""A cell of a plan: one detector, trained or given, on one test set, and the keys of its results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...detectors.runtimes import DEFAULT, Way
from ..core.cell_description import GIVEN_CHECKPOINT, NOT_KNOWN, SOURCE_VAL, TRAINED_HERE, CellDescription, RuntimeUse
from ..core.checkpoints import CheckpointHeader, TrainedOn, read_header
from ..core.errors import BenchError
from ..core.keys import code_hash, file_hash, hash_key, name_start
from ..core.parts import Part
from ..core.precisions import AUTO
from ..core.registry import Entry
from ..core.settings import Settings
from ..core.storage import strip_separators
from .runtime_records import read_choice
from .sources import DataSource, join_protocols

# Increase when a change in a key's parts or in a stage's code changes the numbers.
TRAIN_KEY_VERSION = 1
TEST_KEY_VERSION = 1


@dataclass(frozen=True, eq=False)
class Cell:
    """One detector, trained (or loaded) once with one seed, on one test set.

    The keys contain everything that changes the numbers: a user's own code by its content, the project's code by
    versions. Left out on purpose: the location of data and runs, the number of workers, the scoring batch, the engine,
    the device, the machine, and package versions (recorded in provenance.json instead).
    """

    entry: Entry
    settings: Settings
    train: DataSource | None  # None: tested as it is, whatever it was trained on.
    test: DataSource
    seed: int
    runs: Path
    checkpoint: Path | None
    evaluation: DataSource | None = None  # Its val split fixes thresholds if there is no train set.
    asked: Way = DEFAULT
    device: str = AUTO

    @property
    def val(self) -> DataSource | None:
        """The dataset whose val split selects checkpoints and fixes thresholds."""
        return self.train or self.evaluation

    @property
    def title(self) -> str:
        """A one-line description: detector, train set, test set and seed."""
        return f"{self.name} {self.trained_on.get('dataset', NOT_KNOWN)} -> {self.test.label}, seed {self.seed}"

    @property
    def name(self) -> str:
        """The row's name: `detector`, then a `variant` other than its default and the `tag`, separated by dots."""
        variant = self.options.get("variant") if "variant" in self.entry.card.get("defaults", {}) else None
        return ".".join(str(part) for part in (self.entry.name, variant, self.settings.tag) if part)

    @property
    def options(self) -> dict[str, object]:
        """The detector's options that aren't its card's defaults; a file to start from is named by its content."""
        return name_start(self.entry.drop_defaults(self.settings.options))

    def train_content(self) -> CheckpointHeader:
        """Return what the trained weights depend on."""
        from ...datasets.faces.finder import FINDER_VERSION

        s = self.settings
        lost = self.train.lost_key(["train", "val"], s.faces) if self.train and not self.checkpoint else ""
        learns_groups = self.train and self.entry.card.get("learns_groups")
        return {
            "version": TRAIN_KEY_VERSION,
            "detector": self.entry.name,
            "backend": self.entry.backend,
            "code": code_hash(self.entry),
            "options": self.options,
            "tag": s.tag,
            "faces": s.faces.key_content(),
            "finder": FINDER_VERSION,
            "train": s.train.key_content() if not self.checkpoint else None,
            "checkpoint": file_hash(self.checkpoint) if self.checkpoint else None,
            "data": self._data_key(),
            "seed": self.seed,
            # Frames that were broken then and are fixed now would give different weights.
            **({"lost": lost} if lost else {}),
            # Annotations affect only detectors that learn from groups.
            **({"groups": self.train.annotations_key("train")} if self.train and learns_groups else {}),
        }

    def _data_key(self) -> str:
        if self.train:
            return self.train.key(["train", "val"], self.settings.faces)
        return f"val {self.evaluation.key(['val'], self.settings.faces)}" if self.evaluation else "none"

    @property
    def training(self) -> tuple[str, str, int]:
        """What the cells of one training in a run have in common, without hashing anything."""
        return self.entry.name, self.entry.target, self.seed

    @property
    def train_key(self) -> str:
        """Hash of `train_content`."""
        return hash_key(self.train_content())

    @property
    def test_key(self) -> str:
        """Hash of what the test predictions depend on, their columns of methods and groups included."""
        data = [self.test.key(["test"], self.settings.faces), self.test.annotations_key("test")]
        run_by = [] if self.way == DEFAULT else [str(self.way)]
        return hash_key([TEST_KEY_VERSION, self.train_key, *data, *run_by])

    @property
    def way(self) -> Way:
        """How it is scored: as requested, or, once chosen, as chosen for these weights on this machine."""
        if not self.asked.is_open:
            return self.asked
        if self.val is None:  # There is nothing to compare a faster way on.
            return DEFAULT
        choice = read_choice(self.folder, self.asked, self.device)
        return (choice.decide(self.images) if choice else None) or self.asked

    @property
    def images(self) -> int:
        """The largest number of images to score in its test set."""
        return len(self.test.split("test")) * self.settings.faces.frames

    @property
    def folder(self) -> Path:
        """The run folder: one trained detector."""
        name = f"{strip_separators(self.train.label)}.seed{self.seed}" if self.train else "as-it-is"
        world = (self.train or self.test).home_root.world
        return self.runs / world / _make_safe(self.name) / f"{name}.{self.train_key}"

    @property
    def test_folder(self) -> Path:
        """The folder for this cell's predictions and scorecard, inside the run folder."""
        return self.folder / f"test.{strip_separators(self.test.label)}.{self.test_key}"

    @property
    def is_trained_here(self) -> bool:
        """Whether its run trains it: not if weights are given, it can't be trained, or there are no epochs."""
        trainable = self.train and not self.checkpoint and self.entry.is_trainable
        return bool(trainable) and self.settings.train.epochs > 0

    def _describe_weights(self) -> str:
        if self.checkpoint:
            return GIVEN_CHECKPOINT
        if self.entry.is_made:
            return "given object"
        if not self.entry.is_trainable:
            return "its own"
        return TRAINED_HERE if self.is_trained_here else "not trained"

    @cached_property
    def trained_on(self) -> TrainedOn:
        """What is known about the origin of the weights; nothing for weights from elsewhere."""
        if self.train and self.is_trained_here:
            return {"dataset": self.train.label, "selection": SOURCE_VAL}
        return read_header(self.checkpoint).get("trained_on", {}) if self.checkpoint else {}

    def describe(self) -> CellDescription:
        """Describe the cell for plan.json and the scorecard."""
        trained_on, protocol = self.trained_on, self._describe_protocol()
        return CellDescription(
            detector=self.entry.name,
            name=self.name,
            backend=self.entry.backend or "any",
            train=trained_on.get("dataset", NOT_KNOWN),
            test=self.test.label,
            seed=self.seed,
            limit=self.test.limit,
            frames=self.settings.faces.frames,
            world=protocol.partition(" ")[0],
            protocol=protocol,
            weights=self._describe_weights(),
            selection=trained_on.get("selection", SOURCE_VAL) if trained_on else NOT_KNOWN,
            options=self.options,
            recipe_key=self.make_recipe_key(),
            train_key=self.train_key,
            test_key=self.test_key,
            source=self.val.label if self.val else NOT_KNOWN,
            excluded=sorted(v.id for v in self.test.list_excluded("test")),
            trained_without=len(self.train.list_excluded("train", "val")) if self.train and self.is_trained_here else 0,
            runtime=self._describe_runtime(),
        )

    def make_recipe_key(self, trained_in: str = "", scored_in: str = "", started_from: str = "") -> str:
        """Hash what rows that are pooled have in common: all but the seed, what scores them, what `auto` trained in.

        `started_from` are the published weights and their sums: the same name may come to mean another file.
        `scored_in` is a precision that a detector chose itself, other than that of `way`.
        """
        content: dict[str, object] = {k: v for k, v in self.train_content().items() if k != "seed"}
        content |= {} if self.way == DEFAULT else {"scored with": str(self.way)}
        content |= {"trained in": trained_in} if trained_in else {}
        content |= {"started from": started_from} if started_from else {}
        return hash_key(content | ({"scored in": scored_in} if scored_in else {}))

    def _describe_runtime(self) -> RuntimeUse:
        choice = read_choice(self.folder, self.asked, self.device) if self.asked != DEFAULT else None
        if choice and self.way == choice.way:
            return choice.use
        if self.way == DEFAULT and self.entry.backend != "torch":
            return RuntimeUse()
        asked = str(self.asked) if self.asked != DEFAULT else ""
        return RuntimeUse(runtime=self.way.runtime, precision=self.way.precision, asked=asked)

    def _describe_protocol(self) -> str:
        if not self.train and self.trained_on.get("world") == "demo" and not self.test.home_root.demo:
            return "demo world, tested on other data"
        return join_protocols((self.train or self.test).home_root, self.test.home_root)


def group_cells(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Group the cells by training, in order: the units that machines share."""
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.training, []).append(cell)
    return list(groups.values())


def take_part(cells: list[Cell], part: Part | None) -> list[Cell]:
    """Return the groups of cells that belong to one part of several.

    Raises:
        BenchError: there are fewer groups than parts.
    """
    if not part:
        return cells
    groups = group_cells(cells)
    if part.number > len(groups):
        told = f"this plan has {len(groups)} trainings, so --part {part.number}/{part.parts} has nothing to do"
        raise BenchError(f"{told}. The last part with work: {len(groups)}/{part.parts}")
    return [cell for group in part.take(groups) for cell in group]


def _make_safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in name)
