"""Training sessions without a backend: steps are counted, and unusable batches are skipped."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors.common.network_detector import NetworkDetector
from crossfake.detectors.common.training import NetworkTraining

BATCH = {"label": np.arange(2)}
NOTHING = {"label": np.arange(0)}


class Detector(NetworkDetector):
    def reference_name(self, name):
        return f"theirs.{name}"


class Training(NetworkTraining[Detector]):
    def _update(self, batch):
        found = {"loss": np.float32(self.learning_rate())}
        return lambda: found

    def _differentiate(self, batch):
        return {"loss": np.float32(2)}, {"weight": np.ones(3)}


def start(fast_bf16: bool = False, **settings) -> Training:
    return Training(Detector(), TrainSettings(**settings), 10, 5, fast_bf16=fast_bf16)


def test_steps_are_counted_and_follow_the_schedule():
    session = start(lr=1, schedule="cosine", warmup_steps=4)
    rates = [session.step(BATCH)["loss"] for _ in range(3)]
    assert rates == pytest.approx([session.settings.learning_rate(i, 10, 5) for i in range(3)])
    assert len(set(rates)) == 3
    assert session.done == 3


def test_batches_that_lost_all_examples_are_skipped():
    session = start()
    assert session.step(NOTHING) == {}
    assert session.gradients(NOTHING) == ({}, {})
    assert session.done == 0


def test_gradients_have_the_references_names_and_count_no_step():
    session = start()
    losses, gradients = session.gradients(BATCH)
    assert losses == {"loss": 2.0}
    assert list(gradients) == ["theirs.weight"]
    assert session.done == 0


@pytest.mark.parametrize(
    ("asked", "fast_bf16", "precision"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("bf16", False, "bf16"), ("fp32", True, "fp32")],
)
def test_auto_uses_bf16_where_it_is_fast(asked, fast_bf16, precision):
    assert start(fast_bf16, precision=asked).precision == precision
