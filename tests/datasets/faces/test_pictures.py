import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.types import LostFrame, Picture
from crossfake.datasets.faces.pictures import read_pictures

PICTURE = cv2.blur(np.random.default_rng(0).integers(0, 255, (120, 121, 3), np.uint8), (5, 5))
KINDS = {
    "plain": [],
    "fine": [cv2.IMWRITE_JPEG_QUALITY, 100],
    "coarse": [cv2.IMWRITE_JPEG_QUALITY, 30],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
    "full colour": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
}


def read(path, content: bytes) -> list[LostFrame]:
    path.write_bytes(content)
    lost: list[LostFrame] = []
    shown = list(read_pictures([Picture(3, str(path))], lost))
    assert len(shown) + len(lost) == 1
    return lost


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"progressive"}))
def test_a_jpeg_damaged_inside_is_lost(tmp_path, kind):
    content = cv2.imencode(".jpg", PICTURE, KINDS[kind])[1].tobytes()
    assert read(tmp_path / "a.jpg", content) == []
    half = len(content) * 3 // 5
    damaged = content[:half] + b"\xff" * 19 + b"\x3a" + content[half + 20 :]
    assert cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR) is not None
    assert read(tmp_path / "a.jpg", damaged) == [(3, "its data is damaged inside")]


def test_zeros_inside_a_jpeg_are_noticed(tmp_path):
    content = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    damaged = content[:2000] + bytes(900) + content[2900:]
    assert cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR) is not None
    assert read(tmp_path / "a.jpg", damaged) == [(3, "its data is damaged inside")]


@pytest.mark.parametrize(
    "damage", [lambda c: c[:3000] + b"!!" + c[3002:], lambda c: c[:-9], lambda c: c[:-14] + c[-12:]]
)
def test_a_png_damaged_inside_is_lost_without_libpng_messages(tmp_path, damage, capfd):
    content = cv2.imencode(".png", PICTURE)[1].tobytes()
    assert read(tmp_path / "a.png", content) == []
    assert read(tmp_path / "a.png", content + bytes(9)) == []
    assert read(tmp_path / "a.png", damage(content)) == [(3, "its data is damaged inside")]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_wrong_bytes_inside_a_jpeg_are_noticed(tmp_path, kind, capfd):
    content = cv2.imencode(".jpg", PICTURE, KINDS[kind])[1].tobytes()
    place, wrong = len(content) // 2, np.random.default_rng(1).bytes(100)
    lost = read(tmp_path / "a.jpg", content[:place] + wrong + content[place + 100 :])
    assert lost == [(3, "its data is damaged inside")]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("padding", [bytes(16), b"\xff" * 16])
def test_padding_before_a_jpegs_end_is_not_damage(tmp_path, padding):
    content = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    assert read(tmp_path / "a.jpg", content[:-2] + padding + content[-2:]) == []


def test_a_progressive_jpeg_is_read(tmp_path):
    assert read(tmp_path / "a.jpg", cv2.imencode(".jpg", PICTURE, KINDS["progressive"])[1].tobytes()) == []


@pytest.mark.parametrize("picture", [PICTURE[..., 0], PICTURE[:1, :1], PICTURE[:17, :3]])
def test_jpegs_of_every_shape_are_read(tmp_path, picture):
    content = cv2.imencode(".jpg", picture)[1].tobytes()
    assert read(tmp_path / "a.jpg", content) == []
    assert read(tmp_path / "a.jpg", content + bytes(99)) == []  # Some programs write such files.


@pytest.mark.parametrize("harm", [b"'shape\xa3\x54\x68'", b"'shape':((81,2)", b"[" * 80, b"'shape': (81, 2) "])
def test_landmarks_with_a_damaged_header_are_missing(tmp_path, harm):
    np.save(tmp_path / "a.npy", np.zeros((81, 2)))
    content = (tmp_path / "a.npy").read_bytes()
    place = content.index(b"'shape'")
    (tmp_path / "a.npy").write_bytes(content[:place] + harm + content[place + len(harm) :])
    cv2.imwrite(str(tmp_path / "a.png"), PICTURE)
    lost: list[LostFrame] = []
    list(read_pictures([Picture(3, str(tmp_path / "a.png"), "", str(tmp_path / "a.npy"))], lost))
    assert [frame for frame, _ in lost] == [3]
