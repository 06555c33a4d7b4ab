"""The fairness detectors trained on the tiny demo world, where the groups of some videos are unknown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from command_line import bench
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import TrainSettings, load_settings
from crossfake.detectors import create

OPTIONS = {
    "backbone": "timm:resnet10t",
    "backbone_args": {"channels": [8, 8, 8, 8], "stem_width": 8},
    "width": 16,
    "input_size": 64,
}
SETTINGS = [f"--set=options.{k}={json.dumps(v)}" for k, v in OPTIONS.items()]


@pytest.fixture(scope="module")
def world(tiny_world, tmp_path_factory) -> Path:
    """The tiny world without the groups of four training videos of FF++."""
    copy = tmp_path_factory.mktemp("partly") / "world"
    shutil.copytree(tiny_world, copy)
    table = copy / "FaceForensics++" / "demographics.csv"
    train = {name for pair in json.loads((table.parent / "train.json").read_text()) for name in pair}
    header, *rows = table.read_text().splitlines()
    forgotten = [r for r in rows if Path(r.split(",")[0]).stem in train and "youtube" in r][:4]
    assert len(forgotten) == 4
    table.write_text("\n".join([header, *(r for r in rows if r not in forgotten)]) + "\n")
    return copy


def run(line: str, world: Path, runs: Path) -> int:
    quick = "--workers 0 --set train.epochs=1 --set train.steps_per_epoch=2"
    return bench(f"run --train ff++ --test celebdf {quick} {line}", *SETTINGS, data=world, runs=runs)


def test_trains_on_the_annotated_videos_and_scores(world, tmp_path, capsys):
    assert run("--detector fair_df_detector --set score.draws=20", world, tmp_path) == 0
    folder = next((tmp_path / "demo" / "pgfdd.small").glob("ff*"))
    report = json.loads((folder / "training.json").read_text())
    assert report["videos_left_out"] == 4
    assert {"loss", "common", "specific", "reconstruction", "contrastive", "fairness", "fusion"} < set(
        report["epochs"][0]
    )
    left_out = [line for line in (folder / "log.txt").read_text().splitlines() if "left out" in line]
    assert len(left_out) == 1
    assert (
        "4 of 18 training videos are left out: gender or race is unknown (add them in demographics.csv" in left_out[0]
    )
    again = create("pgfdd", **OPTIONS).load(folder / "checkpoint.safetensors")
    assert again.state()["head_spe.mlp.2.weight"].shape == (6, 512)


def test_without_annotations_nothing_starts(world, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(world, bare)
    (bare / "FaceForensics++" / "demographics.csv").unlink()
    assert run("--detector pgfdd_fixed", bare, tmp_path / "runs") == 2
    error = capsys.readouterr().err
    assert "known for 0 of 18 training videos" in error
    assert "demographics.csv" in error
    assert not (tmp_path / "runs").exists()


def test_batches_that_are_not_pairs_stop_before_any_work(world, tmp_path, capsys):
    for wrong in ("train.balance=false", "train.batch_size=15"):
        assert run(f"--detector pgfdd --dry-run --set {wrong}", world, tmp_path / "runs") == 2
        assert "Use --set train.balance=true and an even --set train.batch_size" in capsys.readouterr().err


def make_batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8),
        "label": np.repeat([0, 1], 4),
        "label_spe": np.array([0, 0, 0, 0, 1, 1, 2, 5]),
        "intersec_label": np.array([0, 1, 1, 7, 3, 3, 1, 0]),
    }


@pytest.mark.parametrize(
    ("name", "precision"), [pytest.param("pgfdd", "bf16", marks=pytest.mark.slow), ("pgfdd_fixed", "float32")]
)
def test_training_lowers_the_loss(name, precision):
    torch.manual_seed(0)
    detector = create(name, **OPTIONS)
    settings = TrainSettings(
        optimizer="adamw", lr=3e-3, balance=True, batch_size=8, sharpness="sam", precision=precision
    )
    session = detector.training(settings, 8, 8)
    found = [session.step(make_batch()) for _ in range(8)]
    assert found[-1]["loss"] < found[0]["loss"]


def test_a_lost_frame_removes_its_partner_too():
    """Three reals and four fakes give three pairs."""
    batch, losses = make_batch(), []
    torch.manual_seed(0)
    start = create("pgfdd", **OPTIONS).state()
    for rows in ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6]):
        detector = create("pgfdd", **OPTIONS).load(start).freeze_noise()
        session = detector.training(TrainSettings(balance=True, batch_size=8), 1, 1)
        losses.append(session.step({k: v[rows] for k, v in batch.items()}))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_batch_without_a_pair_is_skipped(backend):
    """For example, if every fake was dropped: no step and no losses, like an empty batch."""
    if backend == "jax":
        pytest.importorskip("flax")
    detector = create("pgfdd", backend=backend, **OPTIONS)
    session = detector.training(TrainSettings(balance=True, batch_size=8), 2, 2)
    before, reals = detector.state(), {k: v[:4] for k, v in make_batch().items()}
    for batch in (reals, {k: v[:0] for k, v in reals.items()}, {}):
        assert session.step(batch) == {}
        assert session.gradients(batch) == ({}, {})
    assert session.done == 0
    after = detector.state()
    assert all(np.array_equal(after[k], v) for k, v in before.items())
    if backend == "torch":  # JAX would have to compile it.
        assert np.isfinite(session.step({k: v[3:5] for k, v in make_batch().items()})["loss"])
        assert session.done == 1


def test_a_resumed_session_equals_an_unbroken_one(assert_resumes):
    settings = TrainSettings(optimizer="sgd", lr=0.01, balance=True, batch_size=8, sharpness="sam", threads=1)
    torch.manual_seed(0)
    start = create("pgfdd", **OPTIONS).state()
    assert_resumes(lambda: create("pgfdd", **OPTIONS).load(start), settings, make_batch(), 2, 1, torch.manual_seed)


def test_the_recipe_matches_the_paper():
    for name in ("pgfdd", "pgfdd_fixed"):
        settings = load_settings(name, demo=False)
        train = settings.train
        assert settings.options["backbone"] == "xception"
        assert (train.optimizer, train.sharpness, train.rho, train.momentum) == ("sgd", "sam", 0.05, 0.9)
        assert (train.epochs, train.batch_size, train.balance, train.weight_decay) == (100, 32, True, 5e-3)
        assert [train.learning_rate(epoch, 100, 1) for epoch in (0, 59, 60, 99)] == [5e-4, 5e-4, 4.5e-4, 4.5e-4]
    assert detectors.find("fair_df_detector", "").name == "pgfdd"


def test_reference_score_is_the_fake_logit_alone():
    frames = make_batch()["image"]
    torch.manual_seed(0)
    detector = create("pgfdd", **OPTIONS)
    logits = detector.outputs(detector.normalise(torch.from_numpy(frames)).numpy())["cls_fused"]
    np.testing.assert_allclose(detector.score(frames), 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), rtol=1e-5)
    reference = create("pgfdd", **OPTIONS, reference_score="logit1").load(detector.state())
    np.testing.assert_allclose(reference.score(frames), 1 / (1 + np.exp(-logits[:, 1])), rtol=1e-5)
