"""dlib's landmarks, with an 81-point predictor that is trained here on one photograph."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.stages.detectors import load_resolved_settings
from crossfake.datasets.faces.dlib81 import Dlib81, compute_dlib_box
from crossfake.datasets.faces.face_store import FaceStore
from crossfake.datasets.faces.finder import Finder, load_finder, resolve
from crossfake.datasets.faces.mediapipe import BlazeFaceLocator
from crossfake.datasets.faces.models import DLIB81, RETINAFACE, adopt_model

dlib = pytest.importorskip("dlib", reason="pip install dlib-bin")
SHIFT = np.array([3, -2])  # from the mesh's points to the predictor's training points


def train(image, points, file):
    box = dlib.rectangle(*np.rint(compute_dlib_box(points)).astype(int).tolist())
    parts = [dlib.point(*np.rint(p).astype(int).tolist()) for p in points + SHIFT]
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.tree_depth, options.num_trees_per_cascade_level = 2, 2, 20
    options.oversampling_amount, options.be_verbose, options.random_seed = 5, False, "0"
    predictor = dlib.train_shape_predictor([image], [[dlib.full_object_detection(box, parts)]], options)
    predictor.save(str(file))
    return file


@pytest.fixture(scope="module")
def points(astronaut):
    return load_finder("mediapipe").find(astronaut)[0].landmarks


@pytest.fixture(scope="module")
def file(astronaut, points, tmp_path_factory):
    return train(astronaut, points, tmp_path_factory.mktemp("dlib") / DLIB81.name)


@pytest.fixture
def own(file, tmp_path, monkeypatch):
    """A separate cache with the user's file in it."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    return adopt_model(file)


def test_its_points_keep_their_order(file, astronaut, points):
    (found,) = Finder(BlazeFaceLocator(), Dlib81(file=file)).find(astronaut)
    assert found.landmarks.shape == (81, 2)
    assert found.landmarks.dtype == np.float32
    assert np.abs(found.landmarks - points - SHIFT).max() < 2


def test_without_a_face_there_are_no_points(file):
    assert Finder(BlazeFaceLocator(), Dlib81(file=file)).find(np.zeros((200, 200, 3), np.uint8)) == []


def test_a_predictor_of_other_points_is_refused(astronaut, points, tmp_path):
    file = train(astronaut, points[:68], tmp_path / "of68.dat")
    finder = Finder(BlazeFaceLocator(), Dlib81(file=file))
    with pytest.raises(BenchError, match=r"places 68 points, not 81\. Give shape_predictor_81_face"):
        finder.find(astronaut)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "some.dat").write_bytes(b"nothing of the kind")
    with pytest.raises(BenchError, match=r"some\.dat is not a dlib predictor"):
        Dlib81(file=tmp_path / "some.dat")


def test_a_given_file_is_used_and_its_hash_is_in_the_finders_name(own, astronaut, points):
    name = resolve("auto")
    looker, _, hashed = name.partition("+dlib81@")
    assert (looker, len(hashed)) == ("mediapipe", 10)
    assert resolve(name) == name == resolve("mediapipe+dlib81")
    assert resolve("mediapipe") == "mediapipe"
    assert np.abs(load_finder(name).find(astronaut)[0].landmarks - points - SHIFT).max() < 2


def test_the_demo_is_the_same_whatever_files_are_available(own):
    real, demo = (load_resolved_settings("meso4", demo=demo).faces.finder for demo in (False, True))
    assert real.startswith("mediapipe+dlib81@")
    assert demo == "mediapipe"


def test_a_file_given_to_prepare_is_kept_and_used(file, tiny_world, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    asked = "data prepare celebdf --split test --limit 1 --workers 0 --set faces.finder=auto --set faces.frames=1"
    assert bench(asked, data=tiny_world, weights=file) == 0
    assert f"face model: kept as {tmp_path / 'models' / DLIB81.name}" in capsys.readouterr().err
    (folder,) = (tmp_path / "faces").glob("celebdf-*/")
    (recorded,) = FaceStore(folder).settings()
    assert recorded["finder"] == resolve("mediapipe+dlib81")


def test_a_file_other_than_the_named_one_is_refused(own):
    name = resolve("auto")
    own.write_bytes(own.read_bytes() + b"\0")
    with pytest.raises(BenchError, match=r"was made with another shape_predictor_81\S*\.dat: the one here is"):
        resolve(name)


def test_retinaface_is_the_default_once_its_weights_are_available(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    assert resolve("auto") == "mediapipe"
    (tmp_path / RETINAFACE.name).write_bytes(b"")
    assert resolve("auto") == "retinaface"


def test_without_the_file_the_error_says_where_to_find_it(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(BenchError, match=r"no face model shape_predictor_81_face_landmarks\.dat\. Type: ") as error:
        resolve("mediapipe+dlib81")
    assert DLIB81.url in str(error.value)
    assert "is downloaded from" not in str(error.value)


@pytest.mark.parametrize("name", ["mediapip", "retinaface+", "retinaface+dlib", "+dlib81", "auto+dlib81"])
def test_unknown_names_get_the_nearest_name_as_a_suggestion(name):
    with pytest.raises(BenchError, match=r"no face finder named '.*'\..*Known: auto, mediapipe, retinaface"):
        resolve(name)
