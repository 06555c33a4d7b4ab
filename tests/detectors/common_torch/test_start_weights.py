"""Published weights are found offline, verified and pinned; users' files fit, or the error says why not."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.start_weights import list_start_weights
from crossfake.detectors import create
from crossfake.detectors.common_torch import start_weights
from crossfake.detectors.common_torch.start_weights import describe_published, find_start_weights
from crossfake.detectors.common_torch.timm_models import create_timm_model
from safetensors.torch import load_file, save_file

SMALL = "resnet10t"
NAME = "resnet10t.c3_in1k"
ARGS = {"channels": (8, 8, 16, 16), "stem_width": 8}


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.delenv("BENCH_MODELS", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def weights(shared_folder) -> Path:
    torch.manual_seed(7)
    path = shared_folder / "start.safetensors"
    save_file(timm.create_model(SMALL, **ARGS).state_dict(), path)
    return path


def place(weights: Path, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(weights, path))


def test_a_missing_file_is_reported_at_once_with_its_address_and_where_to_put_it(tmp_path):
    began = time.perf_counter()
    with pytest.raises(BenchError) as told:
        find_start_weights("tf_efficientnet_b4.aa_in1k")
    assert time.perf_counter() - began < 2
    assert "https://huggingface.co/timm/tf_efficientnet_b4.aa_in1k/resolve/main/model.safetensors" in str(told.value)
    assert f"{tmp_path / 'cache' / 'models'} as tf_efficientnet_b4.aa_in1k.safetensors" in str(told.value)
    assert "BENCH_OFFLINE is set" in str(told.value)
    assert "\n" not in str(told.value)


def test_weights_that_are_not_on_the_hub_come_from_their_own_address():
    with pytest.raises(BenchError, match=r"cadene/xception-43020ad28\.pth can't be .* as xception-43020ad28\.pth"):
        find_start_weights("legacy_xception.tf_in1k")


@pytest.mark.parametrize("where", ["models", "given", "hub", "torch"])
def test_a_local_file_is_used_without_internet_access(where, weights, tmp_path, monkeypatch):
    snapshot = tmp_path / "hub" / "models--timm--resnet10t.c3_in1k" / "snapshots" / "abc"
    url = describe_published(NAME).url
    paths = {
        "models": tmp_path / "cache" / "models" / f"{NAME}.safetensors",
        "given": tmp_path / "given" / f"{NAME}.safetensors",
        "hub": snapshot / "model.safetensors",
        "torch": tmp_path / "torch" / "checkpoints" / url.rpartition("/")[2],
    }
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path / "given"))
    monkeypatch.setattr(start_weights, "PART", start_weights.WHOLE)  # Our file's hash isn't the one in timm's name.
    place(weights, paths[where])
    if where == "hub":
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc")
    assert find_start_weights(NAME) == paths[where]


def test_a_model_starts_from_the_file(weights, tmp_path):
    place(weights, tmp_path / "cache" / "models" / f"{NAME}.safetensors")
    made = create_timm_model(NAME, True, "backbone_args", num_classes=2, **ARGS)
    own = create_timm_model(SMALL, str(weights), "backbone_args", num_classes=2, **ARGS)
    assert torch.equal(made.conv1[0].weight, load_file(weights)["conv1.0.weight"])
    assert torch.equal(own.conv1[0].weight, made.conv1[0].weight)
    assert "state_dict" not in own.pretrained_cfg
    told = f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    assert [list_start_weights(SimpleNamespace(network=torch.nn.Sequential(n), score=0)) for n in (made, own)] == [
        [f"{NAME} {told}"],
        [told],
    ]
    assert list_start_weights(SimpleNamespace(network=create_timm_model(SMALL, False, "x", **ARGS), score=0)) == []


def test_the_checksum_given_by_the_hub_is_checked(weights, tmp_path):
    blobs = tmp_path / "hub" / "models--timm--resnet10t.c3_in1k" / "blobs"
    snapshot = blobs.parent / "snapshots" / "abc"
    told = hashlib.sha256(weights.read_bytes()).hexdigest()
    place(weights, blobs / told)
    snapshot.mkdir(parents=True)
    (blobs.parent / "refs").mkdir()
    (blobs.parent / "refs" / "main").write_text("abc")
    (snapshot / "model.safetensors").symlink_to(blobs / told)
    assert find_start_weights(NAME) == snapshot / "model.safetensors"
    (blobs / told).write_bytes(b"damaged")
    with pytest.raises(BenchError, match=rf"is not {NAME} as published: its sha256 is .* expected {told[:12]}"):
        find_start_weights(NAME)


def test_the_checksum_prefix_in_a_file_name_is_checked(weights, tmp_path):
    place(weights, tmp_path / "cache" / "models" / "xception-43020ad28.pth")
    with pytest.raises(BenchError, match=r"is not legacy_xception\.tf_in1k as published.*expected 43020ad28"):
        find_start_weights("legacy_xception.tf_in1k")


def test_a_later_file_with_another_checksum_is_refused(weights, tmp_path):
    kept = place(weights, tmp_path / "cache" / "models" / f"{NAME}.safetensors")
    find_start_weights(NAME)
    record = json.loads((tmp_path / "cache" / "models" / "first_use.json").read_text())
    assert record == {f"{NAME} {NAME}.safetensors": [hashlib.sha256(kept.read_bytes()).hexdigest()]}
    kept.write_bytes(b"another")
    with pytest.raises(
        BenchError, match=rf"is not the file that was first used here as {NAME}.*first_use\.json"
    ) as told:
        find_start_weights(NAME)
    assert "\n" not in str(told.value)


def test_a_name_says_which_weights():
    with pytest.raises(BenchError, match=r"resnet18 doesn't say which weights\. It has resnet18\.a1_in1k, "):
        create_timm_model("resnet18", True, "backbone_args")
    with pytest.raises(BenchError, match=r"timm has no weights 'resnet34\.tv_in2k'\. Did you mean 'resnet34\.tv_in1k'"):
        describe_published("resnet34.tv_in2k")


@pytest.mark.parametrize("wrap", [dict, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}])
def test_a_users_file_may_lack_the_classifier_or_have_another(wrap, weights, tmp_path):
    state = dict(timm.create_model(SMALL, num_classes=5, **ARGS).state_dict())
    torch.save(wrap(state), tmp_path / "own.pth")
    made = create_timm_model(SMALL, str(tmp_path / "own.pth"), "backbone_args", num_classes=2, **ARGS)
    assert torch.equal(made.conv1[0].weight, state["conv1.0.weight"])
    assert made.fc.weight.shape[0] == 2
    tapped = create_timm_model(
        SMALL, str(tmp_path / "own.pth"), "backbone_args", num_classes=0, features_only=True, out_indices=(2,), **ARGS
    )
    assert torch.equal(next(tapped.parameters()), state["conv1.0.weight"])


def test_another_models_file_is_a_one_line_error(weights):
    with pytest.raises(BenchError) as told:
        create_timm_model("mobilenetv3_small_050", str(weights), "backbone_args", num_classes=2)
    assert "\n" not in str(told.value)
    assert "keys missing (first: conv_stem.weight" in str(told.value)
    assert "keys not known (first: " in str(told.value)
    with pytest.raises(BenchError, match=r"of another shape \(first: conv1\.0\.weight"):
        create_timm_model(SMALL, str(weights), "backbone_args", num_classes=2)
    with pytest.raises(BenchError, match=r"no weights nowhere\.pth"):
        create_timm_model(SMALL, "nowhere.pth", "backbone_args")


@pytest.mark.parametrize(
    ("detector", "options", "tag"),
    [
        ("caddm", {"backbone": "resnet34"}, "resnet34.tv_in1k"),
        ("caddm", {"backbone": "efficientnet-b3"}, "tf_efficientnet_b3.aa_in1k"),
        ("caddm", {"backbone": "efficientnet-b4"}, "tf_efficientnet_b4.aa_in1k"),
        ("pgfdd", {}, "legacy_xception.tf_in1k"),
        ("xception", {}, "legacy_xception.tf_in1k"),
        ("resnet34", {}, "resnet34.a1_in1k"),
        ("efficientnet-b4", {}, "tf_efficientnet_b4.ns_jft_in1k"),
        ("efficientnet-b4", {"variant": "deepfakebench"}, "tf_efficientnet_b4.aa_in1k"),
        ("sbi", {}, "tf_efficientnet_b4.ap_in1k"),
        ("gend", {}, "vit_large_patch14_clip_quickgelu_224.openai"),
        ("dino-probe", {}, "vit_large_patch14_dinov2.lvd142m"),
    ],
)
def test_the_start_weights_are_part_of_the_key(detector, options, tag):
    """Another tag means another training, so TRAIN_KEY_VERSION must be raised."""
    with pytest.raises(BenchError, match=f"no weights {tag}, and "):
        create(detector, pretrained=True, **options)
