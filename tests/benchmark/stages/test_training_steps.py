"""Reading losses one step late doesn't change them; a step that runs out of memory suggests one that fits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.stages.training_state import Progress
from crossfake.benchmark.stages.training_steps import StepTaker, find_fitting

BATCH = {"image": np.zeros((32, 4, 4, 3), np.uint8)}
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB"


class Late:
    """Records the order in which steps start and their losses are read."""

    def __init__(self, losses=lambda n: 1.0 / n, fails_on_reading: bool = False):
        self.losses, self.fails, self.done, self.seen = losses, fails_on_reading, 0, []

    def launch(self, batch):
        self.done += 1
        step = self.done
        self.seen.append(f"start {step}")

        def read():
            if self.fails:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            self.seen.append(f"read {step}")
            return {"loss": self.losses(step)}

        return read


class Prompt(Late):
    launch = None

    def step(self, batch):
        return Late.launch(self, batch)()


class Tight:
    """Fits `most` images at once."""

    def __init__(self, most: int):
        self.most, self.tried = most, []

    def step(self, batch):
        return self.gradients(batch)[0]

    def gradients(self, batch):
        self.tried.append(len(batch["image"]))
        if len(batch["image"]) > self.most:
            raise RuntimeError(FULL)
        return {"loss": 1.0}, {}


class InPieces:
    needs_whole_batch = ""


def take(session, steps: int = 3, detector: object = None, **settings) -> Progress:
    progress = Progress()
    taker = StepTaker(session, detector, TrainSettings(batch_size=32, **settings), progress)
    for _ in range(steps):
        taker.take(BATCH, 32)
    taker.collect()
    taker.collect()  # Losses aren't read twice.
    return progress


def test_a_step_is_started_before_the_losses_of_the_last_one_are_read():
    late, prompt = Late(), Prompt()
    prompt_losses = take(prompt).losses
    assert take(late).losses == prompt_losses == {"loss": 1 / 1 + 1 / 2 + 1 / 3}
    assert late.seen == ["start 1", "start 2", "read 1", "start 3", "read 2", "read 3"]
    assert prompt.seen == ["start 1", "read 1", "start 2", "read 2", "start 3", "read 3"]


def test_a_non_finite_loss_is_reported_with_its_own_step():
    with pytest.raises(BenchError, match="loss is no longer finite at step 2"):
        take(Late(lambda n: 1.0 if n < 2 else np.nan), steps=5)
    with pytest.raises(BenchError, match="at step 3"):
        take(Late(lambda n: 1.0 if n < 3 else np.inf))


def test_a_batch_of_only_lost_samples_is_a_step_without_losses():
    progress = Progress()
    taker = StepTaker(late := Late(), None, TrainSettings(), progress)
    for batch in (BATCH, {}, BATCH):
        taker.take(batch, len(batch))
    taker.collect()
    assert (progress.losses, late.done) == ({"loss": 1.5}, 2)


def test_the_error_for_a_step_that_does_not_fit_names_the_micro_batch_that_does():
    session = Tight(9)
    with pytest.raises(BenchError) as told:
        take(session, detector=InPieces())
    assert session.tried == [32, 16, 8]
    assert "not enough memory to train on 32 images at once. 8 at once fit" in str(told.value)
    assert str(told.value).endswith("--set train.micro_batch=8")


def test_the_error_for_a_step_that_cannot_be_cut_or_retried_only_advises():
    with pytest.raises(BenchError, match=r"--set train\.batch_size=16"):
        take(Tight(9))
    with pytest.raises(BenchError, match=r"--set train\.micro_batch=16"):
        take(Late(fails_on_reading=True), detector=InPieces())
    with pytest.raises(BenchError, match=r"--set train\.remat=true"):
        take(Tight(9), detector=SimpleNamespace(runs_blocks_again=True))
    with pytest.raises(BenchError, match=r"at once\. Use a smaller batch"):
        take(Tight(9), detector=SimpleNamespace(runs_blocks_again=True), remat=True)
    assert find_fitting(Tight(0), BATCH, 16) is None
    with pytest.raises(RuntimeError, match="another"):
        take(Late(lambda n: (_ for _ in ()).throw(RuntimeError("another"))))
