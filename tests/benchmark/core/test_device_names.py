"""Device names: their meaning, and the errors for unknown names."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core import provenance
from crossfake.benchmark.core.device_names import parse_device
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.provenance import name_device, name_processor


def test_a_device_is_a_kind_and_perhaps_a_number():
    assert parse_device("") == parse_device("auto") == ("auto", None)
    assert parse_device("cuda:12") == ("cuda", 12)
    assert [str(parse_device(name)) for name in ("cpu", "cuda", "cuda:0", "tpu")] == ["cpu", "cuda", "cuda:0", "tpu"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("cudda", "no device named 'cudda'. Did you mean 'cuda'?"),
        ("gpu", "no device named 'gpu'. Did you mean 'cuda'?"),
        ("gpu:1", "Did you mean 'cuda'?"),
        ("rocket", "Known: auto, cpu, cuda, mps, tpu, and cuda:N"),
        ("cuda:", "--device cuda:: only cuda takes a number, from 0 on, such as cuda:1"),
        ("cuda:-1", "only cuda takes a number"),
        ("cuda:99999", "only cuda takes a number"),
        ("cpu:0", "only cuda takes a number"),
    ],
)
def test_other_names_are_a_one_line_error(typed, told):
    with pytest.raises(BenchError) as error:
        parse_device(typed)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_choice_made_for_a_gpu_is_not_used_on_the_cpu(tmp_path, monkeypatch):
    for place, model in enumerate(("NVIDIA H100", "NVIDIA A100")):
        (tmp_path / str(place)).mkdir()
        (tmp_path / str(place) / "information").write_text(f"Model: \t\t {model}\nIRQ: 1\n")
    monkeypatch.setattr(provenance, "NVIDIA_GPUS", tmp_path)
    assert [name_device(name) for name in ("auto", "cuda", "cuda:1")] == ["NVIDIA H100", "NVIDIA H100", "NVIDIA A100"]
    assert (name_device("cpu"), name_device("tpu")) == (name_processor(), "tpu")
    monkeypatch.setattr(provenance, "NVIDIA_GPUS", tmp_path / "none")
    assert name_device() == name_processor()
