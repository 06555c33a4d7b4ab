import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crossfake.datasets.faces.sampling import VideoFile, choose_frames


def indices_seen(frames) -> list[int]:
    """Read the index of each frame from its grey level."""
    return [round((float(f[-8:, -8:].mean()) - 40) / 4) for _, f in frames]


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [
        (10, 4, [0, 3, 6, 9]),
        (300, 3, [0, 149, 299]),
        (3, 32, [0, 1, 2]),
        (1, 32, [0]),
        (7, 1, [0]),
        (0, 32, []),
        (-1, 32, []),
    ],
)
def test_wanted_frames_are_even_and_each_once(count, frames, expected):
    assert choose_frames(count, frames) == expected


@pytest.mark.parametrize(
    ("codec", "name"), [("libx264", "a.mp4"), ("mpeg4", "a.mp4"), ("mpeg4", "a.avi"), ("ffv1", "a.mkv")]
)
def test_frames_are_the_requested_ones(film, codec, name):
    clip = VideoFile(film(name, codec=codec))
    frames = list(clip.frames([0, 13, 39]))
    assert [i for i, _ in frames] == [0, 13, 39]
    assert indices_seen(frames) == [0, 13, 39]
    assert frames[0][1].shape == (48, 64, 3)
    assert frames[0][1].dtype == np.uint8
    assert (clip.reported_frames, clip.total, clip.describe_problem()) == (40, 40, "")


def test_channels_are_red_green_blue(film, tmp_path):
    import av

    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[..., 0] = 220
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    ((_, frame),) = VideoFile(path).frames([0])
    red, green, blue = frame.reshape(-1, 3).mean(axis=0)
    assert red > 200 > 40 > max(green, blue)


def test_truncated_file_is_counted_by_what_is_there(film):
    path = film("cut.mp4", count=50, movflags="faststart")
    content = path.read_bytes()
    data = content.index(b"mdat")
    path.write_bytes(content[: data + (len(content) - data) * 2 // 3])
    clip = VideoFile(path)
    assert clip.reported_frames == 50
    list(clip.frames(choose_frames(clip.reported_frames, 8)))
    assert 0 < clip.total < 50
    assert clip.describe_problem() == f"the file says it has 50 frames, but {clip.total} could be decoded"
    frames = list(clip.frames(choose_frames(clip.total, 8)))
    assert [i for i, _ in frames] == choose_frames(clip.total, 8)


def test_wrong_frame_count_in_the_header_is_detected(film):
    path = film("lies.avi", codec="mpeg4")
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # The AVI header has two frame counts.
        at = content.index(mark) + offset
        assert struct.unpack_from("<I", content, at) == (40,)
        struct.pack_into("<I", content, at, 25)
    path.write_bytes(content)
    clip = VideoFile(path)
    list(clip.frames([]))
    assert clip.total == 40


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a video, but a note\n" * 100, "the file can't be opened as a video"),
        (b"\0" * 5000, "the file can't be opened as a video"),
    ],
)
def test_a_file_that_is_not_a_video_gives_a_reason_without_decoder_noise(tmp_path, capfd, content, reason):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    clip = VideoFile(path)
    assert list(clip.frames([0, 1])) == []
    assert clip.describe_problem() == reason
    assert capfd.readouterr().err == ""


def test_file_cut_before_its_index_is_unreadable_without_decoder_noise(film, capfd):
    path = film("half.mp4")
    path.write_bytes(path.read_bytes()[:2000])
    clip = VideoFile(path)
    assert list(clip.frames([0])) == []
    assert clip.describe_problem() == "the file can't be opened as a video"
    assert capfd.readouterr().err == ""


def test_missing_file_gives_a_reason(tmp_path):
    clip = VideoFile(tmp_path / "nowhere.mp4")
    assert list(clip.frames([0])) == []
    assert clip.describe_problem() == "No such file or directory"


def test_rotated_video_is_turned_upright(film):
    path = turned(film("phone.mp4"))
    ((_, frame),) = VideoFile(path).frames([0])
    assert frame.shape == (64, 48, 3)
    assert frame[:8, -8:].mean() > 200  # The mark of the top left corner is at the top right.


def turned(path: Path) -> Path:
    """Mark an mp4 to be displayed a quarter turn clockwise, as phones do, with a matrix in the track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", content, at)[0] == 0x10000
    struct.pack_into(">9i", content, at, 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    result = path.with_name("turned.mp4")
    shutil.copy(path, result)
    result.write_bytes(content)
    return result


WRITE_AV1 = """
import sys, av, numpy as np
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libsvtav1", rate=25)
    stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
    for i in range(40):
        picture = np.full((48, 64, 3), 40 + 4 * i, np.uint8)
        picture[:12, :16] = 250
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
"""


def test_files_opencv_cannot_decode_are_read_with_pyav(tmp_path):
    # In a separate process, as the encoder sets real-time priority when run as root, and then no other process can run.
    path = tmp_path / "new.mp4"
    subprocess.run([sys.executable, "-c", WRITE_AV1, str(path)], check=True, capture_output=True)
    clip = VideoFile(path)
    frames = list(clip.frames([0, 13, 39]))
    assert [i for i, _ in frames] == [0, 13, 39]
    assert np.allclose(indices_seen(frames), [0, 13, 39], atol=1)  # The encoder isn't more precise.
    assert (clip.reported_frames, clip.total, clip.lost, clip.describe_problem()) == (40, 40, [], "")


@pytest.mark.parametrize("name", ["phone.mp4", "phone.mkv"])
def test_pyav_gives_the_frames_that_opencv_gives(film, monkeypatch, name):
    path = film(name)
    path = turned(path) if name == "phone.mp4" else path
    expected = list(VideoFile(path).frames([3, 30]))
    monkeypatch.setattr(VideoFile, "_decode", lambda self, asked: iter(()))
    frames = list(VideoFile(path).frames([3, 30]))
    assert [i for i, _ in frames] == [3, 30]
    for (_, ours), (_, theirs) in zip(frames, expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).mean() < 2


def test_a_codec_that_nothing_decodes_is_named(film, capfd):
    path = film("odd.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"XYZ1"))
    clip = VideoFile(path)
    assert list(clip.frames([0])) == []
    assert clip.describe_problem() == "the file says it has 40 frames, but 0 could be decoded (codec: XYZ1)"
    assert capfd.readouterr().err == ""


def test_a_playlist_opens_no_other_file(film, tmp_path):
    film("inside.ts", codec="mpeg4")
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ninside.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(text)
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile inside.ts\n")
    for name in ("list.mp4", "concat.mp4"):
        clip = VideoFile(tmp_path / name)
        assert list(clip.frames([0])) == []
        assert clip.describe_problem() == "the file can't be opened as a video"


def test_a_non_utf8_name_is_reported_and_never_opened(film, tmp_path, monkeypatch):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    film("cafe.mp4").rename(path)
    monkeypatch.setattr("cv2.VideoCapture", None)
    clip = VideoFile(path)
    assert list(clip.frames([0])) == []
    assert clip.describe_problem() == "its name isn't UTF-8: rename it"
