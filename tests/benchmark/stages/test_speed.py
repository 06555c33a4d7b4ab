"""Measuring a detector's speed, and when a measurement is repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import FaceSettings, Settings
from crossfake.benchmark.core.speeds import read_speeds
from crossfake.benchmark.stages import speed as stage
from crossfake.benchmark.stages.devices import find_backend, find_device, place, use_threads
from crossfake.benchmark.stages.speed_measurement import Measurement, Subject, measure
from crossfake.benchmark.stages.timing import Effort
from crossfake.detectors.common.in_memory import make_entry
from crossfake.detectors.runtimes import Way

SETTINGS = Settings(faces=FaceSettings(finder="mediapipe"))


class Counting:
    """Returns random scores, and records the batch sizes."""

    def __init__(self):
        self.sizes = []

    def score(self, frames):
        self.sizes.append(len(frames))
        return np.zeros(len(frames), np.float32)

    def parameters_count(self):
        return 7


class Failing(Counting):
    def score(self, frames):
        raise ValueError("no noise, please")


@pytest.fixture
def how():
    return Measurement(Reporter(quiet=True), "bench speed", Effort(0.05, 3))


def subject_of(made) -> Subject:
    return Subject(make_entry(made), SETTINGS)


def test_a_numpy_detector_is_measured_as_a_whole(how):
    made = Counting()
    found = measure(subject_of(made), replace(how, batch=4))
    assert (found.detector, found.backend, found.runtime, found.weights) == (
        "local/Counting",
        "any",
        "python",
        "its own",
    )
    assert (found.params, found.flops, found.activations, found.image) == (7, None, None, (224, 224))
    assert [rate.batch for rate in found.images] == [4]
    assert made.sizes[:2] == [1, 1]  # One call to warm up, then the timed calls.
    assert found.latency.runs >= 3
    assert found.compile_s == 0


def test_a_measurement_is_kept_until_requested_again_or_for_longer(how, tmp_path):
    made = Counting()
    subject = subject_of(made)
    first = stage.measure_subjects([subject, subject], tmp_path, how)
    assert (len(first), read_speeds(tmp_path)) == (1, (first, []))
    calls = len(made.sizes)
    assert stage.measure_subjects([subject], tmp_path, how) == first
    assert len(made.sizes) == calls
    for other in (replace(how, again=True), replace(how, effort=Effort(0.1, 3))):
        stage.measure_subjects([subject], tmp_path, other)
        assert len(made.sizes) > calls
        calls = len(made.sizes)
    stage.measure_subjects([subject], tmp_path, how)  # A longer measurement replaces a shorter one.
    assert len(made.sizes) == calls
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_another_machine_or_version_is_measured_separately(how, tmp_path, monkeypatch):
    subject = subject_of(Counting())
    (speed,) = stage.measure_subjects([subject], tmp_path, how)
    assert stage.find_kept(subject, [speed], how) == speed
    told = speed.provenance.model_copy(update={"packages": {**speed.provenance.packages, "crossfake": "0.0.9"}})
    assert stage.find_kept(subject, [speed.model_copy(update={"provenance": told})], how) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert stage.find_kept(subject, [speed], replace(how)) is None  # The conditions are determined again.


def test_a_runs_detectors_are_measured_and_one_failure_stops_no_other(planned, make, make_failed, tmp_path, capsys):
    made, failing = Counting(), Failing()
    cells = [planned.cell(entry=make_entry(one), train=None, runs=tmp_path / "runs") for one in (made, made, failing)]
    cells.append(planned.cell(entry=make_entry(Counting()), runs=tmp_path / "runs"))
    cards = [make(), make("dfd"), make(), make_failed()]  # Cells without a scorecard aren't measured.
    found = stage.measure_run(cells, cards, Reporter(), "bench run")
    assert [speed.detector for speed in found] == ["local/Counting"]
    assert "the speed of local/Failing isn't measured: ValueError: no noise, please" in capsys.readouterr().out
    assert stage.measure_run(cells[:1], cards[:1], Reporter(), "") == found


def test_a_card_cannot_choose_code_to_run(make):
    with pytest.raises(BenchError, match=r"no detector named '\./mine\.py:Mine'"):
        stage.describe_card(make(detector="./mine.py:Mine"))
    found = stage.describe_card(make(options={"input_size": 64}))
    assert (found.entry.name, found.options, found.weights) == ("meso4", {"input_size": 64}, None)


def test_other_options_are_another_architecture_and_other_weights_are_not(tmp_path):
    entry = make_entry(Counting())
    plain = Subject(entry, SETTINGS)
    assert Subject(entry, SETTINGS.model_copy(update={"options": {"size": 3}})).architecture != plain.architecture
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"1")
    assert Subject(entry, SETTINGS, weights).architecture == plain.architecture
    assert Subject(entry, SETTINGS, weights, decides=True).architecture != plain.architecture


def test_a_torch_network_is_counted_and_uses_the_requested_threads(how):
    torch = pytest.importorskip("torch", reason="needs torch")
    entry = detectors.find("meso4", "torch")
    subject = Subject(entry, Settings(options={"input_size": 32}, faces=FaceSettings(finder="mediapipe")))
    before = torch.get_num_threads()
    found = measure(subject, replace(how, batch=2, threads=2, device="cpu"))
    assert torch.get_num_threads() == before
    assert (found.threads, found.precision, found.runtime, found.weights) == (2, "fp32", "torch", "random")
    assert found.image == (32, 32)
    assert (found.clock, measure(subject, replace(how, batch=2, threads=1)).clock) == ("wall", "processor")
    assert found.flops > found.activations > 0
    with pytest.raises(BenchError, match=r"no device cuda:99 here: torch"):
        measure(subject, replace(how, device="cuda:99"))


def test_each_runtime_is_measured_or_says_why_it_cannot_be(how, tmp_path, capsys):
    how = replace(how, reporter=Reporter(), batch=2)
    made = subject_of(Counting())
    (found,) = stage.measure_ways([made, made], [Way(), Way("openvino")], tmp_path, how)
    assert found.runtime == "python"
    said = capsys.readouterr().out
    assert "local/Counting isn't measured with openvino fp32: --runtime openvino" in said
    assert "Counting runs its own network" in said
    with pytest.raises(BenchError, match="Counting runs its own network"):
        stage.measure_ways([made], [Way("openvino")], tmp_path, how)


def test_each_runtime_of_a_network_has_its_own_speed(how, tmp_path):
    pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    entry = detectors.find("meso4", "torch")
    subject = Subject(entry, Settings(options={"input_size": 32}, faces=FaceSettings(finder="mediapipe")))
    how = replace(how, batch=2, threads=1)
    usual, other = stage.measure_ways([subject], [Way(), Way("onnxruntime")], tmp_path, how)
    assert (usual.runtime, other.runtime) == ("torch", "onnxruntime")
    assert usual.condition == other.condition  # So that they can be compared.
    assert (usual.flops, usual.params) == (other.flops, other.params)
    assert other.compile_s > 0
    assert stage.measure_ways([subject], [Way("onnxruntime")], tmp_path, how) == [other]


def test_a_detector_that_decides_itself_accepts_neither_device_nor_threads():
    made = Counting()
    assert find_backend(made, "") == "python"
    assert find_device(made, "python").precision == "fp32"
    with pytest.raises(BenchError, match="Counting chooses its device itself"):
        place(made, "cpu")
    with pytest.raises(BenchError, match="--threads: jax chooses their number itself"), use_threads("jax", 2):
        pass


def test_weights_are_never_fetched_to_measure_a_speed(monkeypatch):
    pytest.importorskip("torch", reason="needs torch")
    from crossfake.benchmark.stages import speed_measurement

    asked = {}
    monkeypatch.setattr(speed_measurement, "create_from", lambda entry, seed, **options: asked.update(options))
    subject = stage.describe_asked(stage.DetectorRequest("xception"))
    assert subject.settings.options["pretrained"] is True
    subject.make()
    assert asked["pretrained"] is False
