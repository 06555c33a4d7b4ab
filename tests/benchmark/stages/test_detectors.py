"""Which detector a request selects, and that its settings name a face finder before they go into a key."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.keys import name_start
from crossfake.benchmark.core.settings import FaceSettings, load_settings
from crossfake.benchmark.core.typed_commands import start_from
from crossfake.benchmark.stages.detectors import DetectorRequest, find_detector, load_detector, load_resolved_settings


def test_a_finder_is_chosen_only_when_work_is_done(monkeypatch):
    assert load_settings("meso4", demo=False).faces.finder == "auto"
    monkeypatch.setattr("crossfake.datasets.faces.finder.resolve", {"auto": "retinaface"}.__getitem__)
    assert load_resolved_settings("meso4", demo=False).faces == FaceSettings(finder="retinaface")


def test_no_key_depends_on_an_unchosen_finder():
    with pytest.raises(ValueError, match="not chosen yet"):
        FaceSettings().key_content()
    assert FaceSettings(finder="mediapipe").key_content()["finder"] == "mediapipe"


def test_an_unknown_finder_is_refused_when_settings_are_loaded_for_work():
    with pytest.raises(BenchError, match=r"no face finder named 'mediapip'\. Did you mean 'mediapipe'"):
        load_resolved_settings("meso4", demo=True, overrides=["faces.finder=mediapip"])


def test_a_request_without_a_detector_is_refused():
    with pytest.raises(BenchError, match=r"no detector named\. Give --checkpoint FILE, or --detector NAME"):
        find_detector(DetectorRequest())


def test_a_users_detector_is_loaded_with_its_crops(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    def score(self, frames):\n        return [0.5] * len(frames)\n")
    loaded = load_detector(DetectorRequest(f"{path}:Mine"), demo=True)
    assert loaded.entry.name == "local/mine"
    assert loaded.settings.faces.finder == "mediapipe"
    assert loaded.key_content()[0] is None  # No checkpoint.


def test_a_checkpoint_keeps_to_the_file_that_it_was_trained_from(tmp_path):
    def load(told, *overrides):
        header = {"options": {"pretrained": told}}
        return load_resolved_settings("clip-probe", demo=False, made_from=header, overrides=overrides).options

    one, other = tmp_path / "one.pth", tmp_path / "other.pth"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    told = name_start({"pretrained": str(one)})["pretrained"]
    assert load(told)["pretrained"] == told
    assert load(told, start_from(str(one)))["pretrained"] == str(one)
    with pytest.raises(BenchError, match=r"was trained from another file than --pretrained: sha256:6b86b273ff34"):
        load(told, start_from(str(other)))
    with pytest.raises(BenchError, match=r"header names a file, .*which crossfake never writes"):
        load(str(one))
    assert load(told, "options.pretrained=false") == {"pretrained": False}


@pytest.mark.parametrize("name", ["weights.pth", "with space.pth", "a: b, 'c' \"d\".pth", "true"])
def test_a_start_file_is_used_as_typed(name):
    settings = load_resolved_settings("clip-probe", demo=False, overrides=(start_from(name),))
    assert settings.options["pretrained"] == name
