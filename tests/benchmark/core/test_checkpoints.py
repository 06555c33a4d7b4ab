"""Checkpoint headers say how a checkpoint was made. Other files have none; broken files are left to `load`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.checkpoints import check_checksum, find_named_detector, read_header, save
from crossfake.benchmark.core.errors import BenchError
from safetensors.numpy import load_file, save_file


class Weights:
    def __init__(self, **arrays: np.ndarray):
        self.arrays = arrays

    def state(self) -> dict[str, np.ndarray]:
        return self.arrays


def test_weights_and_header_come_back(tmp_path):
    path = tmp_path / "run" / "checkpoint.safetensors"
    weights = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}
    made_from = {"detector": "meso4", "options": {"input_size": 32, "name": "é"}, "seed": 3, "checkpoint": None}
    save(Weights(**weights), path, made_from)
    assert read_header(path) == made_from
    again = load_file(path)
    assert again.keys() == weights.keys()
    assert all(np.array_equal(again[k], v) and again[k].dtype == v.dtype for k, v in weights.items())
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.safetensors"]


def test_a_failed_save_leaves_the_old_one(tmp_path):
    path = tmp_path / "c.safetensors"
    save(Weights(a=np.zeros(2, np.float32)), path, {"n": 1})
    with pytest.raises(Exception, match=r".+"):
        save(Weights(a=np.array([object()])), path, {"n": 2})
    assert read_header(path) == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    save(Weights(a=np.arange(64, dtype=np.float32)), path, {"detector": "meso4"})
    written = path.read_bytes()
    check_checksum(path)
    for place in range(len(written) - 64 * 4, len(written)):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        with pytest.raises(BenchError, match="is damaged: its checksum doesn't match"):
            check_checksum(path)
    path.write_bytes(written.replace(b"meso4", b"meso5"))
    with pytest.raises(BenchError, match="is damaged"):
        check_checksum(path)


def test_old_checkpoints_without_checksums_pass(tmp_path):
    path = tmp_path / "c.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, metadata={"crossfake": json.dumps({"detector": "meso4"})})
    check_checksum(path)


def test_files_from_elsewhere_have_no_header(tmp_path):
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "theirs.safetensors")
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    (tmp_path / "reference.pkl").write_bytes(b"\x80\x04")
    for path in tmp_path.iterdir():
        assert read_header(path) == {}


def test_a_header_is_read_whatever_the_file_is_called(tmp_path):
    path = tmp_path / "c.pth"
    save(Weights(a=np.zeros(2, np.float32)), path, {"detector": "meso4"})
    assert read_header(path) == {"detector": "meso4"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        b"not a checkpoint at all",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 4) + b"[1]\n",
        struct.pack("<Q", 2) + b'""',
        struct.pack("<Q", 30) + json.dumps({"__metadata__": None}).encode(),
    ],
)
def test_broken_files_are_left_to_load(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    assert read_header(path) == {}


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(BenchError, match=r"no checkpoint .*none\.safetensors\. Give a \.safetensors file"):
        read_header(tmp_path / "none.safetensors")


@pytest.mark.parametrize("name", ["{file}:Evil", "evil_of_a_header:Evil", "local/mine.evil", "nobody's"])
def test_a_header_never_chooses_code(tmp_path, monkeypatch, name):
    mark = tmp_path / "ran"
    file = tmp_path / "evil_of_a_header.py"
    file.write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "c.safetensors"
    save(Weights(a=np.zeros(2, np.float32)), path, {"detector": name.format(file=file)})
    with pytest.raises(BenchError, match=r"which is not a registered detector.*type it: --detector FILE\.py:CLASS"):
        find_named_detector(read_header(path), path)
    assert not mark.exists()


def test_a_header_names_a_registered_detector(tmp_path):
    assert find_named_detector({"detector": "meso4"}, tmp_path / "c.safetensors").name == "meso4"
    with pytest.raises(BenchError, match=r"doesn't name its detector\. Give --detector NAME"):
        find_named_detector({}, tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        ("[" * 50_000, "nested more than 100 levels"),
        ("[]", r"holds \[\]; expected keys and values"),
        ('{"detector": 5}', "has detector = 5"),
        ('{"options": [1]}', r"has options = \[1\]"),
        ('{"trained_on": "x"}', "has trained_on = x"),
    ],
)
def test_a_header_of_another_shape_is_reported(tmp_path, packed, told):
    path = tmp_path / "c.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, metadata={"crossfake": packed})
    with pytest.raises(BenchError, match=f"the header of .*c.safetensors.*{told}"):
        read_header(path)


@pytest.mark.parametrize(
    ("trained_on", "told"),
    [
        ({"dataset": 3}, "dataset = 3"),
        ({"videos": ["a"]}, "videos = "),
        ({"videos": "0" * 15}, "videos = 0000"),
        ({"videos": "G" * 16}, "videos = GGGG"),
    ],
)
def test_the_training_set_is_shown_as_crossfake_writes_it(tmp_path, trained_on, told):
    path = tmp_path / "c.safetensors"
    save(Weights(a=np.zeros(2, np.float32)), path, {"detector": "meso4", "trained_on": trained_on})
    with pytest.raises(BenchError, match=f"the header of .* has {told}.*which crossfake never writes"):
        read_header(path)
