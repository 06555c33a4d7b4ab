"""The ways in which people spell splits, labels, folders and files."""

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.readers import parse_label
from crossfake.datasets.faces.sampling import VideoFile
from crossfake.datasets.spelling import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    get_stem,
    make_stem_key,
    parse_folder_name,
)
from hypothesis import given
from hypothesis import strategies as st

from .conftest import encode

CODECS = {".webm": "libvpx", ".ogv": "libvpx", ".flv": "flv", ".wmv": "wmv2", ".asf": "wmv2", ".f4v": "libx264"}
RAW = ".y4m"
# OpenCV can read these, but can't write them in this form.
ALIASES = {".jfif": ".jpg", ".jp2": "", ".pgm": "", ".avif": ""}


@pytest.mark.parametrize(
    ("label", "spellings"),
    [
        (0, ["0", 0, 0.0, "0.0", False, "FALSE", "real", " Real"]),
        (1, ["1", 1, 1.0, "1.0", True, "True", "FAKE"]),
        (None, ["2", 0.5, "", None, float("inf"), [], {}, "-1", "yes"]),
    ],
)
def test_labels_in_any_spelling(label, spellings):
    assert [parse_label(s) for s in spellings] == [label] * len(spellings)


@pytest.mark.parametrize(
    ("name", "split", "label"),
    [
        ("real", None, 0),
        ("0_real", None, 0),
        ("1-Fake", None, 1),
        ("original", None, 0),
        ("manipulated", None, 1),
        ("nature", None, 0),
        ("ai", None, 1),
        ("training_real", "train", 0),
        ("training_fake", "train", 1),
        ("Validation", "val", None),
        ("test_videos", "test", None),
        ("real_vs_fake", None, None),
        ("real and fake", None, None),
        ("real_fake", None, None),
        ("train_test", None, None),
        ("videos", None, None),
        ("surreal", None, None),
        ("0", None, None),
    ],
)
def test_folder_names_give_split_and_class_if_all_words_are_known(name, split, label):
    assert parse_folder_name(name)[:2] == (split, label)


@given(
    st.text("abZé.-_ 0", min_size=1).filter(lambda s: not s.startswith(".") and get_stem(s) == s),
    st.lists(st.sampled_from(sorted(VIDEO_SUFFIXES | PICTURE_SUFFIXES)), max_size=3),
    st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_a_stem_is_the_same_whatever_the_suffix_and_case(stem, suffixes, capitals):
    spelled = "".join(c.upper() if up else c for c, up in zip(stem + "".join(suffixes), capitals * 9, strict=False))
    assert make_stem_key(f"x/{spelled}") == make_stem_key(f"X/{stem}")


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_kind_of_video_is_decoded(tmp_path, suffix):
    frames = list(np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8))  # .ts needs a minimum of data.
    codec = "mpeg2video" if suffix in {".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"} else "mpeg4"
    path = tmp_path / f"a{suffix}"
    if suffix == RAW:
        header, plane = b"YUV4MPEG2 W64 H48 F25:1 C420\n", bytes(64 * 48 * 3 // 2)
        path.write_bytes(header + 12 * (b"FRAME\n" + plane))
    else:
        encode(path, frames, CODECS.get(suffix, codec))
    assert len(list(VideoFile(path).frames(range(12)))) == 12


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_kind_of_picture_is_decoded(suffix):
    written = ALIASES.get(suffix, suffix)
    if not written:
        pytest.skip("OpenCV doesn't write it everywhere")
    _, content = cv2.imencode(written, np.zeros((16, 16, 3), np.uint8))
    assert cv2.imdecode(content, cv2.IMREAD_COLOR).shape == (16, 16, 3)
