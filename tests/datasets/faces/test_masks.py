"""Videos of two people where the smaller one is forged: masks show which, for fakes and their originals."""

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.types import Picture, Video, name_person
from crossfake.datasets.faces import prepare as module
from crossfake.datasets.faces.prepare import prepare
from crossfake.datasets.faces.repair import CHECKED

SETTINGS = FaceSettings(finder="mediapipe", frames=4)
LARGE, SMALL = (10, 20, 60), (120, 30, 30)


def write(path, draw, count: int = 8) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        for i in range(count):
            picture = draw(i)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def people(i: int) -> np.ndarray:
    picture = np.full((96, 192, 3), 128, np.uint8)
    for x, y, side in (LARGE, SMALL):
        picture[y : y + side, x + 2 * i : x + 2 * i + side] = [230, 0, 0]
    return picture


def forged(who: tuple[int, int, int]):
    def draw(i: int) -> np.ndarray:
        picture = np.zeros((96, 192, 3), np.uint8)
        x, y, side = who
        picture[y + 8 : y + side - 4, x + 2 * i + 6 : x + 2 * i + side - 6] = 200
        return picture

    return draw


@pytest.fixture
def clip(tmp_path, monkeypatch, stub) -> Video:
    monkeypatch.setattr(module, "load_finder", lambda name: stub)
    monkeypatch.setattr(module, "_finder", lambda name: stub)
    write(tmp_path / "a.mp4", people)
    return Video("a.mp4", tmp_path / "a.mp4", 1, "swap", "test")


def sides(store) -> set[int]:
    return {round((face.box[2] - face.box[0]) / 30) * 30 for face in store.faces("a.mp4")}


@pytest.mark.parametrize("label", [0, 1])
def test_the_forged_person_is_chosen_in_fakes_and_reals(clip, tmp_path, label):
    write(tmp_path / "mask.mp4", forged(SMALL))
    video = replace(clip, label=label, mask=tmp_path / "mask.mp4")
    store = prepare([video], SETTINGS, tmp_path / "store")
    assert sides(store) == {30}
    assert store.outcomes()["a.mp4"].several == 4
    assert sides(prepare([replace(video, mask=None)], SETTINGS, tmp_path / "without")) == {60}


def test_a_mask_of_another_size_is_scaled(clip, tmp_path):
    write(tmp_path / "mask.mp4", lambda i: np.ascontiguousarray(forged(SMALL)(i)), 8)
    with av.open(str(tmp_path / "half.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for i in range(8):
            half = np.ascontiguousarray(forged(SMALL)(i)[::2, ::2])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(half, format="rgb24")))
        container.mux(stream.encode())
    assert sides(prepare([replace(clip, mask=tmp_path / "half.mp4")], SETTINGS, tmp_path / "store")) == {30}


def test_everybody_is_kept_where_the_highest_score_counts(clip, tmp_path):
    settings = SETTINGS.model_copy(update={"people": "max"})
    store = prepare([clip], settings, tmp_path / "store")
    assert store.count_people("a.mp4") == 2
    boxes = [store.face(name_person("a.mp4", n), 0).box for n in (1, 2)]
    assert [round((box[2] - box[0]) / 30) for box in boxes] == [2, 1]
    assert list(store.outcomes()) == ["a.mp4"]
    assert store.count_people("b.mp4") == 0
    assert prepare([clip], SETTINGS, tmp_path / "one").count_people("a.mp4") == 1
    write(tmp_path / "a.mp4", forged(LARGE))  # Now nobody is: earlier results were for another file.
    assert prepare([clip], settings, tmp_path / "store").count_people("a.mp4") == 0


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_an_unreadable_mask_changes_nothing(clip, tmp_path, content):
    (tmp_path / "mask.mp4").write_bytes(content)
    assert sides(prepare([replace(clip, mask=tmp_path / "mask.mp4")], SETTINGS, tmp_path / "store")) == {60}


def test_an_empty_mask_changes_nothing(clip, tmp_path):
    write(tmp_path / "mask.mp4", lambda i: np.zeros((96, 192, 3), np.uint8))
    assert sides(prepare([replace(clip, mask=tmp_path / "mask.mp4")], SETTINGS, tmp_path / "store")) == {60}


def test_a_mask_added_later_is_used(clip, tmp_path):
    video = replace(clip, mask=tmp_path / "mask.mp4")
    assert sides(prepare([video], SETTINGS, tmp_path / "store")) == {60}
    write(tmp_path / "mask.mp4", forged(SMALL))
    assert sides(prepare([video], SETTINGS, tmp_path / "store")) == {30}
    assert (tmp_path / "store" / CHECKED).is_file()


def test_masks_of_pictures_come_from_a_folder(clip, tmp_path):
    for folder, draw in (("frames", people), ("masks", forged(SMALL))):
        (tmp_path / folder).mkdir()
        for i in range(4):
            cv2.imwrite(str(tmp_path / folder / f"{i:03d}.png"), cv2.cvtColor(draw(i), cv2.COLOR_RGB2BGR))
    (tmp_path / "masks" / "001.png").write_bytes(b"damaged")
    (tmp_path / "masks" / "notes.txt").touch()
    pictures = [Picture(i, str(tmp_path / "frames" / f"{i:03d}.png")) for i in range(4)]
    video = replace(clip, pictures=pictures, path=tmp_path / "frames" / "000.png")
    assert sides(prepare([video], SETTINGS, tmp_path / "without")) == {60}
    assert sides(prepare([replace(video, mask=tmp_path / "masks")], SETTINGS, tmp_path / "store")) == {30}
