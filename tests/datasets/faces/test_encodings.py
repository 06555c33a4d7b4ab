"""Encodings of crops: lossless ones are, and decoding never uses more memory than the header allows."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.datasets.faces.encodings import MAGIC, decode, encode

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 23, 3), np.uint8)
LOSSLESS = ["zstd", "png"]


@pytest.mark.parametrize("encoding", LOSSLESS)
@pytest.mark.parametrize("image", [IMAGE, IMAGE[:1], IMAGE[:, :1], IMAGE[::2, ::-1]])
def test_nothing_is_lost(encoding, image):
    found = decode(encode(image, encoding))
    assert found.dtype == np.uint8
    assert np.array_equal(found, image)


@pytest.mark.parametrize("encoding", ["zstd", "png", "jpeg95", "jpeg444"])
def test_arrow_bytes_are_read_like_python_bytes(encoding):
    content = encode(IMAGE, encoding)
    assert np.array_equal(decode(pa.py_buffer(content)), decode(content))


def test_an_image_in_arrows_bytes_is_refused_by_its_header_too():
    whole = bytearray(encode(IMAGE, "png"))
    whole[16:24] = struct.pack(">II", 30_000, 30_000)
    with pytest.raises(BenchError, match="30000 x 30000 pixels, more than 100 megapixels"):
        decode(pa.py_buffer(bytes(whole)))


def test_jpeg_with_full_colour_resolution_is_closer():
    x = np.linspace(0, 255, 64)
    smooth = np.stack(np.broadcast_arrays(x[:, None], 255 - x[None], 255 * (x[:, None] > 128)), -1).astype(np.uint8)
    near, far = (np.abs(decode(encode(smooth, e)).astype(int) - smooth).mean() for e in ("jpeg444", "jpeg95"))
    assert near < far < 10


PACKED = encode(IMAGE, "zstd")


@pytest.mark.parametrize(
    "content",
    [
        PACKED[:8],
        PACKED[:20],
        PACKED[:-1],
        MAGIC + struct.pack("<II", 37, 24) + PACKED[12:],
        MAGIC + struct.pack("<II", 37, 22) + PACKED[12:],
        MAGIC + struct.pack("<II", 2**32 - 1, 2**32 - 1) + PACKED[12:],
        MAGIC + struct.pack("<II", 0, 5) + PACKED[12:],
        b"",
        b"junk" * 20,
    ],
)
def test_a_file_that_is_not_an_image_is_refused(content):
    with pytest.raises(BenchError, match=r"the face store holds \d+ bytes that can't be used as an image"):
        decode(content)


def test_lossless_encodings_share_their_keys():
    keys = [FaceSettings(finder="mediapipe", encoding=e).key_content() for e in LOSSLESS]
    assert keys[0] == keys[1]
    assert keys[0]["encoding"] == "png"
    assert FaceSettings(finder="mediapipe", encoding="jpeg444").key_content()["encoding"] == "jpeg444"
