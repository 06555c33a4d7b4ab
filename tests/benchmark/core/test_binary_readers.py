"""Pictures and LMDBs are checked before decoding: a small file can't use gigabytes, a damaged one can't crash us."""

from __future__ import annotations

import random
import struct
import zlib

import cv2
import lmdb
import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.readers.images import UnreadableImage, decode_image, find_image_size, read_image
from crossfake.benchmark.core.readers.lmdb_files import LmdbFile

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
def test_sizes_are_found_in_headers(suffix):
    content = cv2.imencode(suffix, IMAGE)[1].tobytes()
    assert find_image_size(content) == (53, 37)
    assert decode_image(content).shape == (37, 53, 3)


def test_a_lossless_webp_and_a_gif_have_sizes_too():
    content = cv2.imencode(".webp", IMAGE, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert find_image_size(content) == (53, 37)
    assert find_image_size(b"GIF89a" + struct.pack("<HH", 53, 37)) == (53, 37)


def make_png_bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def test_a_png_whose_chunk_claims_gigabytes_is_never_decoded(monkeypatch):
    content = bytearray(cv2.imencode(".png", IMAGE)[1].tobytes())
    content[33:37] = struct.pack(">I", 2**31 - 1)  # The length of the first data chunk.
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(UnreadableImage, match="it can't be decoded"):
        decode_image(bytes(content))


def tiff(order: str, side: int) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2)
    return head + b"".join(struct.pack(order + "HHII", tag, 4, 1, side) for tag in (256, 257))


def jpeg(side: int) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x04\0\0\xff\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\0\0\0\xff\xda"


BOMBS = {
    "png": make_png_bomb(30_000),
    "jpeg": jpeg(30_000),
    "bmp": b"BM" + b"\0" * 12 + struct.pack("<Iii", 40, 30_000, -30_000),
    "webp": b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + struct.pack("<HBHB", 29_999, 0, 29_999, 0),
    "tiff": tiff("<", 30_000),
    "big-endian tiff": tiff(">", 30_000),
    "netpbm": b"P4 # a remark\n30000\n30000\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_pictures_beyond_100_megapixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cv2, "imdecode", lambda *a: pytest.fail("it was decoded"))
    (tmp_path / "x.png").write_bytes(BOMBS[name])
    with pytest.raises(UnreadableImage, match="30000 x 30000 pixels, more than 100 megapixels"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"", b"junk", *[bomb[:13] for bomb in BOMBS.values()]])
def test_a_file_that_is_not_a_picture_is_refused(content):
    with pytest.raises(UnreadableImage, match="it can't be decoded"):
        decode_image(content)


def test_a_missing_picture_is_reported(tmp_path):
    with pytest.raises(UnreadableImage, match="it can't be read: No such file"):
        read_image(tmp_path / "none.png")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An LMDB with every kind of page, written in several transactions, with some keys deleted."""
    folder, rng = tmp_path_factory.mktemp("lmdb"), random.Random(0)
    sizes = (0, 5, 1500, 5000)
    values = {f"{rng.getrandbits(64):x}/{i}".encode(): rng.randbytes(rng.choice(sizes)) for i in range(800)}
    items = list(values.items())
    with lmdb.open(str(folder), map_size=1 << 26) as env:
        for start in range(0, 800, 200):
            with env.begin(write=True) as transaction:
                for key, value in items[start : start + 200]:
                    transaction.put(key, value)
        with env.begin(write=True) as transaction:
            for key, _ in items[:50]:
                transaction.delete(key)
    return folder, dict(items[50:]), dict(items[:50])


def test_lmdb_values_are_read_as_written(database):
    folder, there, gone = database
    found = LmdbFile(folder)
    assert {key: found.get(key) for key in there} == there
    assert not any(found.get(key) for key in (*gone, b"", b"\xff" * 600))


def test_an_empty_lmdb_has_nothing(tmp_path):
    lmdb.open(str(tmp_path)).close()
    assert LmdbFile(tmp_path).get(b"a") is None


def test_damaged_lmdbs_are_a_one_line_error(database, tmp_path):
    folder, there, _ = database
    whole, rng, told = (folder / "data.mdb").read_bytes(), random.Random(1), []
    for trial in range(150):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 30, 1000])):
            content[rng.randrange(8192 if trial % 2 else len(content))] = rng.randrange(256)
        (tmp_path / "data.mdb").write_bytes(content if trial % 5 else content[: rng.randrange(len(content))])
        try:
            found = LmdbFile(tmp_path)
            for key in list(there)[:100]:
                found.get(key)
        except BenchError as error:
            told.append(str(error))
    assert len(told) > 50
    assert all("data.mdb" in text and "\n" not in text for text in told)


def test_a_truncated_lmdb_is_reported_as_such(database, tmp_path):
    whole = (database[0] / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(whole[:-4096])
    with pytest.raises(BenchError, match=r"data\.mdb is cut short or damaged: it has [\d,]+ bytes of [\d,]+; copy it"):
        LmdbFile(tmp_path)
