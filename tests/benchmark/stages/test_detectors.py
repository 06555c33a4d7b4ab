"""Which detector a request means, and that its settings name a face finder before anything is keyed by them."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import FaceSettings, load_settings
from crossfake.benchmark.stages.detectors import DetectorRequest, find_detector, load_detector, load_resolved_settings


def test_a_finder_is_chosen_for_work_alone(monkeypatch):
    assert load_settings("meso4", demo=False).faces.finder == "auto"
    monkeypatch.setattr("crossfake.datasets.faces.finder.resolve", {"auto": "retinaface"}.__getitem__)
    assert load_resolved_settings("meso4", demo=False).faces == FaceSettings(finder="retinaface")


def test_no_key_is_made_of_a_finder_that_is_not_chosen():
    with pytest.raises(ValueError, match="not chosen yet"):
        FaceSettings().key_content()
    assert FaceSettings(finder="mediapipe").key_content()["finder"] == "mediapipe"


def test_an_unknown_finder_is_told_when_settings_are_loaded_for_work():
    with pytest.raises(BenchError, match=r"no face finder named 'mediapip'\. Did you mean 'mediapipe'"):
        load_resolved_settings("meso4", demo=True, overrides=["faces.finder=mediapip"])


def test_a_request_that_names_no_detector_wants_one():
    with pytest.raises(BenchError, match="say which detector this is: --detector NAME"):
        find_detector(DetectorRequest())


def test_a_detector_of_the_users_own_is_loaded_with_its_crops(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    def score(self, frames):\n        return [0.5] * len(frames)\n")
    loaded = load_detector(DetectorRequest(f"{path}:Mine"), demo=True)
    assert loaded.entry.name == "local/mine"
    assert loaded.settings.faces.finder == "mediapipe"
    assert loaded.key_content()[0] is None  # No checkpoint.
