"""Out of memory: scoring halves its batches with the same results; training says which batch size to try."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.stages.out_of_memory import BatchScorer, explain_training, is_out_of_memory
from crossfake.benchmark.stages.predict_batch import score_batch


class Small:
    """Scores by the first pixel, at most `most` images at once; records the batch sizes."""

    def __init__(self, most):
        self.most, self.sizes = most, []

    def score(self, frames):
        self.sizes.append(len(frames))
        if len(frames) > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return frames[:, 0, 0, 0] / np.float32(255)


FRAMES = np.random.default_rng(0).integers(0, 256, (32, 2, 2, 3), np.uint8)


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(capsys):
    small = Small(9)
    scorer = BatchScorer(small)
    expected = score_batch(Small(32), FRAMES)
    assert np.array_equal(scorer.score(FRAMES), expected)
    assert small.sizes == [32, 16, 8, 8, 8, 8]
    assert np.array_equal(scorer.score(FRAMES[:10]), expected[:10])
    assert small.sizes[6:] == [8, 2]
    assert "not enough memory to score 32 images at once: continuing with 16" in capsys.readouterr().err


def test_a_single_sample_that_does_not_fit_and_other_errors_are_raised():
    with pytest.raises(RuntimeError, match="out of memory"):
        BatchScorer(Small(0)).score(FRAMES)

    class Broken:
        def score(self, frames):
            raise RuntimeError("required rank 4 tensor to use channels_last memory format")

    with pytest.raises(RuntimeError, match="memory format"):
        BatchScorer(Broken()).score(FRAMES)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        type("OutOfMemoryError", (RuntimeError,), {})("hip"),
    ],
)
def test_out_of_memory_is_recognised_from_any_library(error):
    assert is_out_of_memory(error)


def test_a_training_step_names_what_to_try():
    assert isinstance(explain_training(32), BenchError)
    assert "to train on 32 images at once" in str(explain_training(32))
    assert str(explain_training(32)).endswith("--set train.batch_size=16")
    assert str(explain_training(32, in_pieces=True)).endswith("--set train.micro_batch=16")
    assert "needs less, and is the same recipe. Or use a smaller batch" in str(explain_training(32, remat=True))
    assert "remat" not in str(explain_training(32))
    assert str(explain_training(1, in_pieces=True)).endswith("--set train.batch_size=1")
