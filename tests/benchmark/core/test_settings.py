"""Recipes: layers, types, and errors that name the file, the key and the closest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import CONFIGS, Settings, TrainSettings, list_keys, load_settings


def test_later_layers_win(tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("train: {epochs: 3, lr: 0.5}\ndetectors: {meso4: {train: {epochs: 4}}}\n")
    demo = load_settings("meso4", demo=True)
    over = load_settings("meso4", demo=True, config=mine, overrides=["train.lr=0.25"])
    assert (over.train.epochs, over.train.lr) == (4, 0.25)
    assert over.train.batch_size == demo.train.batch_size
    assert load_settings("xception", demo=True, config=mine).train.epochs == 3


def test_the_demo_recipe_is_named_in_the_row():
    assert load_settings("caddm", demo=True).tag == "small"
    assert load_settings("caddm", demo=False).tag == ""
    assert load_settings("caddm", demo=True, tagged=False).tag == ""
    assert load_settings("caddm", demo=True, overrides=["train.epochs=0"]).tag == ""
    assert load_settings("caddm", demo=True, overrides=["tag=mine"], tagged=False).tag == "mine"
    assert load_settings("caddm", demo=True, overrides=["tag=''"]).tag == ""
    assert load_settings("caddm", demo=True, made_from={"tag": "theirs"}, tagged=False).tag == "theirs"


def test_a_checkpoint_brings_its_own_options_and_faces():
    made_from = {"options": {"input_size": 64}, "faces": {"frames": 7}, "train": {"epochs": 1}, "seed": 3}
    settings = load_settings("meso4", demo=True, made_from=made_from)
    assert (settings.options["input_size"], settings.faces.frames) == (64, 7)


def test_an_option_a_checkpoint_left_at_its_default_stays_there():
    recipe = load_settings("resnet34", demo=True).options
    assert recipe["input_size"] == 64
    settings = load_settings("resnet34", demo=True, made_from={"options": {"pretrained": True}})
    assert settings.options == {"pretrained": True}
    assert load_settings("resnet34", demo=True, made_from={}).options == recipe
    over = load_settings("resnet34", demo=True, made_from={"options": {}}, overrides=["options.input_size=64"])
    assert over.options == {"input_size": 64}


def test_an_unknown_setting_reveals_a_checkpoint_of_another_version():
    with pytest.raises(BenchError, match=r"the checkpoint's header: unknown key 'faces.zoom'"):
        load_settings("meso4", demo=True, made_from={"faces": {"zoom": 2}})


def test_a_detector_a_recipe_does_not_configure_uses_the_rest(tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("train: {epochs: 3}\ndetectors: {meso4: }\n")
    assert load_settings("meso4", demo=False, config=mine).train.epochs == 3


def test_a_file_that_is_not_text_is_reported(tmp_path: Path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\x04\xff")
    with pytest.raises(BenchError, match="row 1: not UTF-8"):
        load_settings("meso4", demo=False, config=path)


def test_every_shipped_recipe_is_valid():
    for path in CONFIGS.glob("*.yaml"):
        assert isinstance(load_settings(path.stem, demo=False, config=path), Settings), path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epoch: 3}", "unknown key 'train.epoch'. Did you mean 'train.epochs'?"),
        ("trian: {epochs: 3}", "unknown key 'trian'."),
        ("train: {epochs: many}", "train.epochs = 'many'"),
        ("train: {lr: -1}", "train.lr = -1"),
        ("- a\n- b", "holds a list"),
        ("a: [", "is not YAML"),
        ("detectors: 3", "detectors = 3: expected settings by name"),
        ("detectors: {meso4: 3}", "(detectors: meso4): it = 3"),
        ("detectors: {meso4: {tga: x}}", "(detectors: meso4): unknown key 'tga'. Did you mean 'tag'?"),
    ],
)
def test_mistakes_in_a_file_name_it_and_the_key(tmp_path: Path, text: str, message: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BenchError) as error:
        load_settings("meso4", demo=False, config=path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("options.x=[", "'[' is not YAML"),
        ("train.epochs", "expected key=value"),
        ("train.epohs=3", "Did you mean 'train.epochs'?"),
        ("=3", "expected"),
    ],
)
def test_mistakes_in_set(override: str, message: str):
    with pytest.raises(BenchError, match="--set") as error:
        load_settings("meso4", demo=False, overrides=[override])
    assert message in str(error.value)


def test_missing_file_lists_the_recipes(tmp_path: Path):
    with pytest.raises(BenchError, match=r"Recipes that ship with crossfake: .*demo"):
        load_settings("meso4", demo=False, config=tmp_path / "none.yaml")


def test_all_keys_are_dotted_leaves():
    assert {"tag", "train.epochs", "faces.frames", "score.draws"} <= set(list_keys())


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("2E3", 2000.0), ("1.5e+2", 150.0), ("1e-4x", "1e-4x")])
def test_a_number_with_an_exponent_is_a_number_everywhere(text: str, value: object):
    assert load_settings("meso4", demo=False, overrides=[f"options.rate={text}"]).options["rate"] == value


@pytest.mark.parametrize(
    "override",
    [
        "faces.frames=1001",
        "train.batch_size=65537",
        "score.draws=100001",
        "train.lr=.inf",
        "train.lr=1e999",
        "options.x=[1, .nan]",
        "options.x=" + "[" * 5000,
        "options" + ".x" * 5000 + "=1",
    ],
)
def test_absurdly_large_numbers_are_refused(override):
    with pytest.raises(BenchError, match="--set ") as caught:
        load_settings("meso4", demo=False, overrides=[override])
    assert len(str(caught.value)) < 700


def test_the_largest_valid_numbers_are_accepted():
    overrides = ["faces.frames=1000", "train.batch_size=65536", "score.draws=100000"]
    assert load_settings("meso4", demo=False, overrides=overrides).faces.frames == 1000


@pytest.mark.parametrize("key", ["t\r\nrain.lr", "t" * 5000])
def test_an_odd_key_is_a_short_one_line_error(key):
    with pytest.raises(BenchError, match="unknown key 't") as raised:
        load_settings("meso4", demo=False, overrides=[f"{key}=1"])
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 2000


def test_keys_contain_fp32_under_its_former_name():
    assert Settings.model_validate({"train": {"precision": "float32"}}) == Settings()
    assert TrainSettings().precision == "fp32"
    assert TrainSettings().key_content()["precision"] == "float32"
    assert TrainSettings(precision="bf16").key_content()["precision"] == "bf16"


def test_a_precision_no_detector_trains_in_is_refused():
    with pytest.raises(BenchError, match=r"train.precision = 'fp16': Input should be 'fp32', 'tf32', 'bf16' or 'auto'"):
        load_settings("meso4", demo=True, overrides=["train.precision=fp16"])
