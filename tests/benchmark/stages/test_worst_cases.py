"""The worst videos of each class, and where in them a detector sees artifacts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crossfake.benchmark.core.types import FAKE, REAL
from crossfake.benchmark.stages.worst_cases import CASES_PER_LABEL, find_worst_cases, locate_artifacts


def frames(scores: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"video": v, "frame": f, "label": int(v.startswith("fake")), "score": s}
        for v, values in scores.items()
        for f, s in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_videos_are_ordered_by_mean_and_show_their_worst_frame():
    scores = {"fake/a": [0.1, 0.9], "fake/b": [0.4, 0.2], "real/a": [0.1, 0.9], "real/b": [0.9, 0.7]}
    found = {k: [(r.video, r.frame, round(r.score, 2)) for r in v] for k, v in find_worst_cases(frames(scores)).items()}
    assert found[FAKE] == [("fake/b", 1, 0.3), ("fake/a", 0, 0.5)]
    assert found[REAL] == [("real/b", 0, 0.8), ("real/a", 1, 0.5)]


def test_the_number_of_worst_cases_is_limited():
    found = find_worst_cases(frames({f"fake/{i}": [i / 10] for i in range(9)}))
    assert [r.video for r in found[FAKE]] == [f"fake/{i}" for i in range(CASES_PER_LABEL)]
    assert found[REAL] == []


class Seer:
    """Outlines the whole crop of each face as many times as the index of its frame."""

    def score(self, x):
        return np.zeros(len(x), np.float32)

    def artifacts(self, faces):
        return [np.tile(np.float32([[0, 0], [16, 0], [16, 16], [0, 16]]), (f.frame, 1, 1)) for f in faces]


def test_a_detector_that_locates_artifacts_is_run_on_those_frames(memory_store):
    store = memory_store({"fake/a": [0, 1], "real/a": [0, 1]})
    table = frames({"fake/a": [0.5, 0.2], "real/a": [0.9, 0.1]})
    assert locate_artifacts(Seer(), store, table) == {"fake/a": [[(0, 0), (16, 0), (16, 16), (0, 16)]], "real/a": []}
    assert locate_artifacts(object(), store, table) == {}
