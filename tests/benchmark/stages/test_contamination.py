"""Training videos are recognised by content, wherever a copy is; old checkpoints don't list them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossfake.benchmark.core.types import Picture
from crossfake.benchmark.stages.contamination import PIECE, find_shared_videos, fingerprint_video, fingerprint_videos


@pytest.fixture
def write(tmp_path, make_video):
    def put(name: str, content: bytes):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return make_video(name, "test", path=path)

    return put


def test_a_copy_of_another_name_is_shared_and_another_video_is_not(write):
    trained = [write("real/a.mp4", b"one"), write("real/b.mp4", b"two")]
    header = {"trained_on": {"dataset": "ff++", "videos": fingerprint_videos(trained)}}
    copy, other, gone = write("real/elsewhere.mp4", b"two"), write("real/c.mp4", b"three"), write("real/d.mp4", b"one")
    gone.path.unlink()
    assert [v.id for v in find_shared_videos([copy, other, gone], header)] == ["real/elsewhere.mp4"]
    assert find_shared_videos([other], header) == []


@pytest.mark.parametrize("header", [{}, {"trained_on": {}}, {"trained_on": {"dataset": "ff++:c23"}}])
def test_a_checkpoint_without_its_video_list_leaves_overlap_unknown(write, header):
    assert find_shared_videos([write("real/a.mp4", b"one")], header) is None


def test_an_empty_video_list_shares_no_videos(write):
    assert find_shared_videos([write("real/a.mp4", b"one")], {"trained_on": {"videos": ""}}) == []


def test_a_large_file_is_identified_by_size_and_three_pieces(write):
    content = np.random.default_rng(0).bytes(8 * PIECE)
    whole = fingerprint_video(write("real/a.mp4", content))
    assert len(whole) == 16
    for changed in (b"x" + content[1:], content[:-1] + b"x", content[:-1], content + b"x"):
        assert fingerprint_video(write("real/b.mp4", changed)) != whole
    middle = bytearray(content)
    middle[len(middle) // 2] ^= 1
    assert fingerprint_video(write("real/c.mp4", bytes(middle))) != whole


def test_pictures_are_identified_by_number_and_content(write):
    files = [write(f"real/{i}.png", bytes([i])) for i in range(5)]

    def of(*numbers: int) -> str:
        pictures = tuple(Picture(i, str(files[i].path)) for i in numbers)
        return fingerprint_video(replace(files[0], id="v", pictures=pictures))

    assert of(0, 1, 2) == of(0, 1, 2) != ""
    assert len({of(0, 1, 2), of(0, 1, 3), of(0, 2, 2), of(0, 1, 1, 2)}) == 4
    files[2].path.unlink()
    assert of(0, 1, 2) == ""
