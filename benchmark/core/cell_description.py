"""What a scorecard, a failure and predictions say of the cell that made them."""

from __future__ import annotations

from pydantic import Field

from .records import Record

NOT_KNOWN = "unknown"
TRAINED_HERE, GIVEN_CHECKPOINT, SOURCE_VAL, TEST_ORACLE = (
    "trained here",
    "given checkpoint",
    "source val",
    "test-oracle",
)
"""Where weights come from, and what a checkpoint was picked by."""
_NOT_MISSED = {"runtime", "scored", "split", "source", "training_videos", "contaminated", "excluded", "trained_without"}


class RuntimeUse(Record):
    """How a detector was run: all empty where it runs its network on its own.

    `asked` is what was asked for, such as `auto fp32`. Of another way than PyTorch in fp32: by how much the frame AUC
    and the 99.9 % quantile of scores moved on `frames` of the source validation split (None: nothing to compare on),
    how many times as quick it is, and the seconds that it took to start.
    """

    runtime: str = ""
    precision: str = ""
    asked: str = ""
    device: str = ""
    auc_shift: float | None = None
    score_shift: float | None = None
    frames: int = 0
    speedup: float | None = None
    start_s: float | None = None


class CellDescription(Record):
    """Which detector, trained and tested on what: nothing of it is set where predictions come from elsewhere.

    `train` is what it was trained on, `training_videos` a hash of these videos' content, `selection` what it was picked
    by: each `unknown` where it isn't given. Thresholds are fixed on the validation split of `source`. It was trained on
    `contaminated` of the test videos (None: unknown); `excluded` are those that were left out as asked, as were
    `trained_without` of the training's. `scored` and `split` are what the predictions are of, `runtime` is what
    computed them.
    """

    detector: str = ""
    name: str = ""
    backend: str = ""
    train: str = ""
    test: str = ""
    seed: int = 0
    limit: int | None = None
    frames: int = 0
    world: str = ""
    protocol: str = ""
    weights: str = ""
    selection: str = ""
    options: dict[str, object] = Field(default_factory=dict)
    recipe_key: str = ""
    train_key: str = ""
    test_key: str = ""
    scored: str = ""
    split: str = ""
    source: str = ""
    training_videos: str = NOT_KNOWN
    contaminated: int | None = None
    excluded: list[str] = Field(default_factory=list)
    trained_without: int = 0
    runtime: RuntimeUse = RuntimeUse()

    @property
    def is_known(self) -> bool:
        """Whether anything is known."""
        return bool(self.model_fields_set)

    def list_missing(self) -> list[str]:
        """Return the fields that a run's cell has and that this one doesn't tell, but for those that came later."""
        return [name for name in type(self).model_fields if name not in {*self.model_fields_set, *_NOT_MISSED}]
