"""A detector's card lists its abilities; they match its class and are checked when a detector is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core import contracts
from crossfake.benchmark.core.contracts import CAPABILITIES, find_capabilities, make_contract_error
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import Entry, detectors
from crossfake.datasets.base import make_adapter
from crossfake.datasets.faces.face_store import FaceStore
from crossfake.detectors import create_from, get_cropper, load_from


class Scorer:
    def score(self, frames):
        return np.zeros(len(frames), np.float32)


class Keeper(Scorer):
    def load(self, source):
        return self

    def state(self):
        return {}


class Student(Keeper):
    def sampler(self):
        return lambda sample, rng: {}

    def training(self, settings, total_steps, steps_per_epoch): ...


class WithoutSampler(Keeper):
    def training(self, settings, total_steps, steps_per_epoch): ...


class OldHook(Scorer):
    def study(self, videos, frames):
        return videos[1:], "luck"


class BothHooks(OldHook):
    def inspect_training_set(self, videos, frames):
        return videos, ""


def entry_of(cls: type, **card: object) -> Entry:
    return Entry("mine", f"{__name__}:{cls.__name__}", "", card=card)


BACKENDS = {"torch": ("torch", "timm"), "jax": ("jax", "flax", "optax")}


@pytest.mark.parametrize("entry", detectors.entries(), ids=lambda e: f"{e.name}-{e.backend}")
def test_cards_of_shipped_detectors_match_what_their_classes_can_do(entry):
    for package in BACKENDS[entry.backend]:
        pytest.importorskip(package)
    assert "can" in entry.card
    assert entry.capabilities == find_capabilities(entry.load())
    assert len(entry.card["can"]) == len(entry.capabilities)


def test_capabilities_are_found_from_the_methods_of_a_class():
    assert find_capabilities(Scorer) == frozenset()
    assert find_capabilities(Keeper) == find_capabilities(Keeper()) == {"load", "save"}
    assert find_capabilities(Student) == {"load", "save", "sample", "train"}
    assert find_capabilities(WithoutSampler) == {"load", "save"}


def test_every_capability_is_a_contract_of_methods_only():
    for contract in CAPABILITIES.values():
        issubclass(Scorer, contract)  # Python raises TypeError for protocols with attributes.


def test_a_card_is_believed_without_imports_and_the_class_is_used_where_it_is_silent():
    assert Entry("gone", "nowhere.at_all:Gone", "", card={"can": ("load",)}).capabilities == {"load"}
    assert entry_of(Student).capabilities == find_capabilities(Student)
    with pytest.raises(BenchError, match=r"no capability named 'trian'\. Did you mean 'train'\?"):
        _ = Entry("gone", "nowhere.at_all:Gone", "", card={"can": ("trian",)}).capabilities


def test_a_detector_function_reveals_nothing_before_it_is_called(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    def score(self, f): ...\ndef make(): return Mine()\n")
    assert detectors.find(f"{tmp_path / 'mine.py'}:make").capabilities == set(CAPABILITIES)
    assert detectors.find(f"{tmp_path / 'mine.py'}:Mine").capabilities == set()


def test_a_subclass_of_a_shipped_detector_is_inspected_itself(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "from crossfake.detectors.baselines.meso import Meso4\n"
        "class Mine(Meso4):\n    def artifacts(self, faces): ...\n"
    )
    found = detectors.find(f"{tmp_path / 'mine.py'}:Mine")
    assert found.card["input_size"] == 256
    assert {"train", "artifacts"} <= found.capabilities


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (WithoutSampler, r":WithoutSampler has no method sampler\(\), which training needs"),
        (object, r"object has no method score\(frames\), which every detector needs"),
    ],
)
def test_half_a_capability_is_refused_with_the_method_that_is_missing(cls, says, monkeypatch):
    monkeypatch.setattr(Entry, "load", lambda self: cls)
    with pytest.raises(BenchError, match=says):
        create_from(entry_of(cls))


@pytest.mark.parametrize(
    ("missing", "call"), [("sampler", "sampler()"), ("state", "state()"), ("load", "load(weights)")]
)
def test_each_method_that_training_needs_is_named(missing, call, monkeypatch):
    methods = {name: getattr(Student, name) for name in ("score", "load", "state", "sampler", "training")}
    half = type("Half", (), {name: method for name, method in methods.items() if name != missing})
    monkeypatch.setattr(Entry, "load", lambda self: half)
    with pytest.raises(BenchError) as error:
        create_from(entry_of(half))
    assert str(error.value).endswith(f":Half has no method {call}, which training needs")


def test_a_card_that_claims_more_than_its_class_can_do_is_refused():
    with pytest.raises(BenchError, match=r"has no method flops\(frames\), which the word 'flops' on its card needs"):
        create_from(entry_of(Keeper, can=("load", "save", "flops")))
    assert isinstance(create_from(entry_of(Keeper, can=("load",))), Keeper)


def test_a_checkpoint_for_a_detector_that_uses_none_is_refused():
    with pytest.raises(BenchError, match=r"mine has no method load\(weights\), which a checkpoint needs"):
        load_from(entry_of(Scorer), Path("weights.pkl"))


def test_the_hook_by_its_old_name_is_called_with_one_warning(capsys):
    from crossfake.detectors import _warn_of_old_hook

    _warn_of_old_hook.cache_clear()
    first, second = create_from(entry_of(OldHook)), create_from(entry_of(OldHook))
    for made in (first, second):
        assert isinstance(made, contracts.InspectsTrainingSet)
        assert made.inspect_training_set(["a", "b"], {}) == (["b"], "luck")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "study(videos, frames) is called inspect_training_set(videos, frames) now" in told


def test_a_detector_with_both_hooks_is_called_by_the_new_name(capsys):
    assert create_from(entry_of(BothHooks)).inspect_training_set(["a", "b"], {}) == (["a", "b"], "")
    assert capsys.readouterr().err == ""


def test_detectors_without_a_crop_of_their_own_get_the_face_box():
    assert get_cropper(Scorer(), entry_of(Scorer, input_size=64)).size == 64


def test_an_adapter_that_lacks_a_method_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    def videos(self, home, compression): return []\n")
    with pytest.raises(BenchError, match=r"mine\.py:Mine has no method home\(root\), which every dataset needs"):
        make_adapter(Entry("local/mine", f"{tmp_path / 'mine.py'}:Mine", ""))


def test_the_face_store_is_a_face_reader(tmp_path):
    assert isinstance(FaceStore(tmp_path), contracts.FaceReader)


def test_the_first_missing_method_is_named_with_its_arguments():
    error = make_contract_error(Scorer(), contracts.TrainingSession, "Session", "a training session")
    assert str(error) == "Session has no method step(batch), which a training session needs"


def test_planning_imports_no_backend_and_no_plugin():
    code = """
import sys
from pathlib import Path
from crossfake.benchmark.stages.plan import Request, check_names, check_trainable
names = ("caddm", "pgfdd", "meso4", "timm:resnet10t")
for checkpoint in (None, Path("weights.pkl")):
    request = Request(names, "ff++", ("celebdf",), checkpoint=checkpoint)
    check_trainable(request, check_names(request))
assert not {"torch", "jax", "timm", "crossfake.detectors.baselines.meso"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
