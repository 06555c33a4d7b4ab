"""RetinaFace without its weights: a random network runs, and given outputs are decoded to the expected faces."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.faces.boxes import suppress_non_maxima
from crossfake.datasets.faces.finder import Finder
from crossfake.datasets.faces.mediapipe import FaceMesh

torch = pytest.importorskip("torch")
pytest.importorskip("retinaface", reason="pip install --no-deps retinaface-pytorch==0.0.8")

from crossfake.datasets.faces import models
from crossfake.datasets.faces.retinaface import LONGEST_SIDE, RetinaFaceLocator, load_net, make_priors

FRAME = np.random.default_rng(0).integers(0, 256, (60, 96, 3), dtype=np.uint8)
EYES = np.array([[0.4, 0.3], [0.6, 0.35]])


class Heads(torch.nn.Module):
    """Returns the network's output for the given faces, each at its nearest prior."""

    def __init__(self, *faces: tuple[float, list[float]]):
        super().__init__()
        self.faces = faces
        self.seen = None

    def forward(self, x):
        self.seen = x
        priors = make_priors(tuple(x.shape[2:]))
        moves, classes, points = (torch.zeros(1, len(priors), n) for n in (4, 2, 10))
        classes[..., 0] = 9
        for score, box in self.faces:
            low, high = torch.tensor(box[:2]), torch.tensor(box[2:])
            centre, size = (low + high) / 2, high - low
            i = int((priors[:, :2] - centre).norm(dim=1).argmin())
            moves[0, i] = torch.cat(
                [(centre - priors[i, :2]) / (0.1 * priors[i, 2:]), (size / priors[i, 2:]).log() / 0.2]
            )
            eyes = low + torch.from_numpy(EYES).float() * size
            points[0, i, :4] = ((eyes - priors[i, :2]) / (0.1 * priors[i, 2:])).flatten()
            classes[0, i] = torch.tensor([0.0, float(np.log(score / (1 - score)))])
        return moves, classes, points


def test_heads_are_decoded_to_boxes_and_eyes_in_frame_pixels():
    (found,) = RetinaFaceLocator(Heads((0.9, [0.2, 0.3, 0.5, 0.8]))).locate(FRAME)
    (face,) = found
    assert face.score == pytest.approx(0.9, abs=1e-5)
    assert face.box == pytest.approx([0.2 * 96, 0.3 * 60, 0.5 * 96, 0.8 * 60], abs=1e-3)
    low, size = face.box[:2], face.box[2:] - face.box[:2]
    assert face.eyes == pytest.approx(low + EYES * size, abs=1e-3)


def test_uncertain_faces_are_left_out_and_overlapping_ones_merge_into_the_surest():
    faces = [(0.8, [0.1, 0.1, 0.4, 0.6]), (0.95, [0.13, 0.14, 0.44, 0.65]), (0.6, [0.6, 0.6, 0.9, 0.9])]
    (found,) = RetinaFaceLocator(Heads(*faces)).locate(FRAME)
    assert [round(c.score, 2) for c in found] == [0.95]


def test_pictures_are_normalised_and_large_ones_shrunk():
    heads = Heads((0.9, [0.2, 0.3, 0.5, 0.8]))
    large = np.full((40, 2 * LONGEST_SIDE, 3), (255, 0, 127), np.uint8)
    ((face,),) = RetinaFaceLocator(heads).locate(large)
    assert heads.seen.shape == (1, 3, 20, LONGEST_SIDE)
    assert heads.seen[0, :, 0, 0].tolist() == pytest.approx([2.2489, -2.0357, 0.4091], abs=1e-3)
    assert face.box == pytest.approx([512, 12, 1280, 32], abs=0.01)


@pytest.mark.slow
def test_the_real_network_runs_with_seeded_random_weights_and_loads_either_file_form(tmp_path):
    torch.manual_seed(0)
    net = load_net(None)
    assert (len(net.state_dict()), sum(p.numel() for p in net.parameters())) == (456, 27_293_600)
    torch.save(net.state_dict(), tmp_path / "as_saved.pth")
    with zipfile.ZipFile(tmp_path / "released.zip", "w") as archive:
        archive.write(tmp_path / "as_saved.pth", "weights.pth")
    answers = [
        next(RetinaFaceLocator(n).locate(FRAME))
        for n in (net, load_net(tmp_path / "as_saved.pth"), load_net(tmp_path / "released.zip"))
    ]
    assert [[(c.score, *c.box) for c in a] for a in answers[1:]] == [[(c.score, *c.box) for c in answers[0]]] * 2


@pytest.mark.parametrize("content", [{"weight": 1}, {"body.conv1.weight": torch.zeros(3)}])
def test_other_weights_are_a_one_line_error(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(BenchError, match=r"other\.pth doesn't hold RetinaFace's weights: ") as error:
        load_net(tmp_path / "other.pth")
    assert "\n" not in str(error.value)


def test_without_weights_both_ways_to_get_them_are_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(BenchError, match="no face model retinaface_resnet50") as error:
        RetinaFaceLocator()
    assert "--weights FILE" in str(error.value)
    assert models.RETINAFACE.url in str(error.value)


def test_a_file_of_another_checksum_is_refused(monkeypatch, tmp_path):
    (tmp_path / models.RETINAFACE.name).write_bytes(b"other weights")
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    with pytest.raises(BenchError, match=r"is not the expected file: sha256 .*, expected f168fae3c"):
        RetinaFaceLocator()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["RetinaFace.py", "commons/__init__.py"], "from another project with that name, retina-face: pip uninstall"),
        ([], r"needs a package: pip install --no-deps retinaface-pytorch==0\.0\.8"),
    ],
)
def test_the_other_project_of_that_name_is_recognised(files, message, monkeypatch, tmp_path):
    for name in files and ["__init__.py", *files]:
        path = tmp_path / "retinaface" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    elsewhere = [p for p in sys.path if not Path(p, "retinaface").is_dir()]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *elsewhere])
    for name in [m for m in sys.modules if m.partition(".")[0] == "retinaface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("crossfake.datasets.faces.retinaface.find_package", find_on_path)
    with pytest.raises(BenchError, match=message):
        RetinaFaceLocator(Heads())


def find_on_path(name: str):
    from importlib.machinery import PathFinder

    return object() if name == "torch" else PathFinder.find_spec(name)


def test_a_found_face_gets_its_points_from_the_mesh(astronaut):
    box = [170 / 512, 50 / 512, 275 / 512, 200 / 512]  # as RetinaFace draws them: hairline to chin
    found = Finder(RetinaFaceLocator(Heads((0.99, box))), FaceMesh(twice=True)).find(astronaut)
    assert len(found) == 1
    assert found[0].landmarks.shape == (81, 2)
    eyes = found[0].landmarks[36:42].mean(0), found[0].landmarks[42:48].mean(0)
    assert eyes[0] == pytest.approx([203, 101], abs=6)
    assert eyes[1] == pytest.approx([246, 103], abs=6)


def test_suppression_keeps_the_best_of_each_cluster():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    assert suppress_non_maxima(boxes, np.array([0.5, 0.9, 0.3, 0.9]), 0.4) == [1, 2]
    assert suppress_non_maxima(boxes[:0], np.zeros(0), 0.4) == []
