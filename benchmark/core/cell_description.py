"""How scorecards, failures and predictions describe the cell that made them."""

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
"""Where weights come from, and what a checkpoint was selected on."""
_NOT_MISSED = {"runtime", "scored", "split", "source", "training_videos", "contaminated", "excluded", "trained_without"}


class RuntimeUse(Record):
    """How a detector was run: all empty if it runs its network itself.

    `asked` is the request, such as `auto fp32`. For anything but PyTorch in fp32: by how much the frame AUC and the
    99.9 % quantile of scores moved on `frames` frames of the source validation split (None: nothing to compare on),
    how many times as fast it is, and the seconds that it took to start.
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
    """Which detector, trained and tested on which data; nothing is set for predictions from elsewhere.

    `train` is the training set, `training_videos` a hash of its videos' content, `selection` what the checkpoint was
    selected on: each is `unknown` if it isn't given. Thresholds are fixed on the validation split of `source`. The
    detector was trained on `contaminated` of the test videos (None: unknown). `excluded` are the test videos excluded
    on request, `trained_without` the number of training videos excluded so. `scored` and `split` say which data the
    predictions are for, `runtime` what computed them.
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
        """Whether nothing is unknown."""
        return bool(self.model_fields_set)

    def list_missing(self) -> list[str]:
        """Return the fields of a run's cell that this one lacks, except those added by later versions."""
        return [name for name in type(self).model_fields if name not in {*self.model_fields_set, *_NOT_MISSED}]
