"""Model files: ONNX, Hugging Face and timm, with tiny models of channel means and a linear head."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors.common.in_memory import hash_object, make_entry
from crossfake.detectors.model_files import Inputs, names_model_file, open_model
from crossfake.detectors.model_files.inputs import find_fake_class
from tiny_models import save_classifier, write_onnx

PLAIN = Inputs(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


WEIGHT = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)


def expect(weight: np.ndarray, fake: int) -> np.ndarray:
    logits = (IMAGES / 255).mean((1, 2)) @ weight
    difference = logits[:, fake] - logits[:, 1 - fake]
    return 1 / (1 + np.exp(-difference))


@pytest.mark.parametrize("shape", [("n", 3, "s", "s"), (1, 3, 16, 16), (2, 3, 16, 16), ("n", 3, 16, 16)])
def test_an_onnx_file_accepts_any_batch(tmp_path, shape):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "m.onnx", WEIGHT, shape)
    for fake in (0, 1):
        model = open_model(f"onnx:{path}", PLAIN._replace(fake=fake, size=16))
        assert model.name == "onnx:m"
        np.testing.assert_allclose(model.score(IMAGES), expect(WEIGHT, fake), atol=1e-6)


def test_one_output_and_probabilities(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    single = open_model(f"onnx:{write_onnx(tmp_path / 'a.onnx', WEIGHT[:, :1])}", PLAIN)
    logits = (IMAGES / 255).mean((1, 2)) @ WEIGHT[:, 0]
    np.testing.assert_allclose(single.score(IMAGES), 1 / (1 + np.exp(-logits)), atol=1e-6)
    softmax = open_model(f"onnx:{write_onnx(tmp_path / 'b.onnx', WEIGHT, ends_in='Softmax')}", PLAIN)
    assert "taken as probabilities" in capsys.readouterr().err
    np.testing.assert_allclose(softmax.score(IMAGES), expect(WEIGHT, 1), atol=1e-6)
    path = write_onnx(tmp_path / "c.onnx", WEIGHT[:, :1], ends_in="Sigmoid")
    sigmoid = open_model(f"onnx:{path}", PLAIN._replace(output="probabilities", fake=0))
    np.testing.assert_allclose(sigmoid.score(IMAGES), 1 - 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_equal_files_share_a_key_and_different_ones_do_not(tmp_path):
    pytest.importorskip("onnxruntime")
    first, second = (write_onnx(tmp_path / f"{n}.onnx", WEIGHT * (n + 1)) for n in range(2))
    keys = [make_entry(open_model(f"onnx:{path}", PLAIN)).code for path in (first, first, second)]
    assert keys[0] == keys[1] != keys[2]
    assert make_entry(open_model(f"onnx:{first}", PLAIN._replace(margin=1.5))).code != keys[0]
    assert hash_object(open_model(f"onnx:{first}", PLAIN))


def test_a_hugging_face_folder_gives_its_input_format(tmp_path):
    torch = pytest.importorskip("torch")
    processor = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    folder = save_classifier(tmp_path / "mine", ["Deepfake", "Real"], processor)
    model = open_model(f"hf:{folder}")
    assert (model.name, model.size, model.fake) == ("hf:mine", 32, 0)
    frames = IMAGES.repeat(2, 1).repeat(2, 2)
    x = torch.from_numpy(((frames / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        expected = model.model.model.eval()(pixel_values=x).logits.softmax(-1)[:, 0]
    np.testing.assert_allclose(model.score(frames), expected.numpy(), atol=1e-6)
    assert make_entry(model).name == "hf:mine"


def test_missing_files_of_a_hugging_face_folder_are_reported(tmp_path):
    folder = save_classifier(tmp_path / "mine", ["LABEL_0", "LABEL_1"], None)
    with pytest.raises(BenchError, match="neither says which is fake"):
        open_model(f"hf:{folder}")
    with pytest.raises(BenchError, match=r"has no preprocessor_config\.json\. Describe the model's input: --size"):
        open_model(f"hf:{folder}", Inputs(fake=1))
    assert open_model(f"hf:{folder}", PLAIN._replace(fake=1, size=32)).score(
        IMAGES.repeat(2, 1).repeat(2, 2)
    ).shape == (5,)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BenchError, match=r"expected config\.json and model\.safetensors"):
        open_model(f"hf:{folder}", PLAIN._replace(fake=1, size=32))


@pytest.mark.parametrize("outputs", [1, 2])
def test_timm_with_weights(tmp_path, outputs):
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    from safetensors.torch import save_file

    network = timm.create_model("resnet10t", num_classes=outputs).eval()
    save_file({f"module.{k}": v for k, v in network.state_dict().items()}, tmp_path / "w.safetensors")
    model = open_model(f"timm:resnet10t@{tmp_path / 'w.safetensors'}")
    assert model.name == "timm:resnet10t@w"
    frames = IMAGES.repeat(11, 1).repeat(11, 2)
    mean, std = (np.array(network.pretrained_cfg[k], np.float32) for k in ("mean", "std"))
    x = torch.from_numpy(((frames / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        logits = network(x)
    expected = logits.softmax(-1)[:, 1] if outputs == 2 else logits[:, 0].sigmoid()
    np.testing.assert_allclose(model.score(frames), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("onnx:none.onnx", "no ONNX file none.onnx"),
        ("onnx:", "names no file"),
        ("onxn:m.onnx", "Did you mean 'onnx'"),
    ],
)
def test_mistakes(name, says):
    pytest.importorskip("onnxruntime")
    with pytest.raises(BenchError, match=says):
        open_model(name)


def test_files_of_another_kind(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(BenchError, match="can't be opened as an ONNX model"):
        open_model(f"onnx:{tmp_path / 'm.onnx'}")
    three = write_onnx(tmp_path / "three.onnx", np.ones((3, 3)))
    with pytest.raises(BenchError, match=r"gave shape \(3, 3\) for 3 images"):
        open_model(f"onnx:{three}", PLAIN)
    fixed = write_onnx(tmp_path / "fixed.onnx", WEIGHT, (1, 3, 16, 16))
    with pytest.raises(BenchError, match="takes images of 16x16, not 32"):
        open_model(f"onnx:{fixed}", PLAIN._replace(size=32))
    grey = write_onnx(tmp_path / "grey.onnx", WEIGHT[:1], ("n", 1, 16, 16))
    with pytest.raises(BenchError, match="expected one input of images"):
        open_model(f"onnx:{grey}", PLAIN)


@pytest.mark.parametrize(
    ("labels", "fake"), [(["fake", "real"], 0), (["Real", "Deepfake"], 1), (["AI", "Human"], 0), (["Realism", "x"], 1)]
)
def test_the_fake_class_by_its_name(labels, fake):
    assert find_fake_class(labels, "m") == fake


def test_names_of_files_and_detectors():
    assert names_model_file("onnx:m.onnx")
    assert names_model_file("timm:resnet50@w.safetensors")
    assert not names_model_file("timm:resnet50")
    assert not names_model_file("mine.py:Mine")


def test_a_hub_model_that_cannot_be_fetched_says_what_to_put_where(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(
        BenchError, match=r"hf:org/model .*BENCH_OFFLINE is set\. Put config\.json, .* give hf:FOLDER"
    ) as told:
        open_model("hf:org/model")
    assert "https://huggingface.co/org/model" in str(told.value)
    assert "\n" not in str(told.value)
