"""Detectors based on CLIP against golden vectors; which parts are trained and saved; bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create
from crossfake.detectors.clip.alignment import find_side, find_similarity, place_template
from crossfake.detectors.clip.gend import compute_losses
from crossfake.detectors.clip.objective import alignment_loss, uniformity_loss
from crossfake.detectors.clip.svd import ResidualLinear
from golden import FIELD, make_input, make_weight, read_golden, smooth_input

GEND = json.loads((FIELD / "gend.json").read_text())
TINY = {"input_size": 42, "arch_args": {"depth": 2, "embed_dim": 64, "num_heads": 1}}
HEADS = {"clip-probe": ("fc", 768, 1), "gend": ("model.linear", 1024, 2), "effort": ("head", 1024, 2)}


def name_two_layers() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a two-layer ViT-L/14 as in Hugging Face's files."""
    layer = {f"self_attn.{p}_proj": (1024, 1024) for p in "qkv"} | {"self_attn.out_proj": (1024, 1024)}
    layer |= {"mlp.fc1": (4096, 1024), "mlp.fc2": (1024, 4096), "layer_norm1": (1024,), "layer_norm2": (1024,)}
    modules = {f"encoder.layers.{i}.{k}": v for i in range(2) for k, v in layer.items()}
    modules |= {"pre_layrnorm": (1024,), "post_layernorm": (1024,)}
    shapes = {f"vision_model.{k}.weight": v for k, v in modules.items()}
    shapes |= {f"vision_model.{k}.bias": v[:1] for k, v in modules.items()}
    return shapes | {
        "vision_model.embeddings.class_embedding": (1024,),
        "vision_model.embeddings.patch_embedding.weight": (1024, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (257, 1024),
        "visual_projection.weight": (768, 1024),
    }


@pytest.fixture(scope="module")
def weights():
    return {k: make_weight(k, shape, 1.0) for k, shape in name_two_layers().items()}


def add_head(weights, name):
    head, width, classes = HEADS[name]
    shapes = {f"{head}.weight": (classes, width), f"{head}.bias": (classes,)}
    return {**weights, **{k: make_weight(k, shape, 1.0) for k, shape in shapes.items()}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("clip-probe", {}, "univfd_logit"),
        ("gend", {}, "gend_logits_LinearNorm"),
        ("gend", {"head": "linear"}, "gend_logits_linear"),
        ("effort", {}, "effort_logits"),
    ],
)
def test_features_and_heads_equal_the_references(weights, name, options, key):
    expected = read_golden("clip2")
    detector = create(name, **options).load(add_head(weights, name))
    out = detector.outputs(smooth_input((2, 3, 224, 224), "clip", -1.8, 2.1))
    np.testing.assert_allclose(out["logits"], expected[key], atol=2e-5)
    wanted = expected["projected768" if name == "clip-probe" else "pooled1024"]
    np.testing.assert_allclose(out["features"], wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "options", "count", "trained", "sample"),
    [
        ("gend", {}, 393, 104_450, "feature_extractor.vision_model.pre_layrnorm.weight"),
        ("effort", {}, 969, 198_754, "backbone.encoder.layers.23.self_attn.out_proj.V_r"),
        ("effort", {"variant": "deepfakebench"}, 681, 198_754, "backbone.encoder.layers.0.self_attn.q_proj.U_residual"),
        ("clip-probe", {}, 394, 769, "visual_projection.weight"),
    ],
)
def test_names_are_the_references_and_few_weights_are_trained(name, options, count, trained, sample):
    detector = create(name, **options)
    names = detector.to_reference(detector.names())
    assert len(names) == count
    assert sample in names
    assert detector.parameters_count() == trained
    assert detector.is_empty, "no number is drawn before it is needed"


@pytest.mark.parametrize("name", ["clip-probe", "dino-probe", "gend", "effort"])
def test_a_checkpoint_brings_its_own_depth_and_width_and_the_same_scores(name):
    arch = {} if name != "dino-probe" else TINY["arch_args"]
    first = create(name, **TINY)
    frames = np.random.default_rng(0).integers(0, 256, (3, 42, 42, 3), dtype=np.uint8)
    scores = first.score(frames)
    second = create(name, input_size=42, arch_args=arch).load(first.state())
    np.testing.assert_allclose(second.score(frames), scores, atol=1e-6)
    assert second.state().keys() == first.state().keys()


def test_openai_names_are_accepted_too():
    detector = create("clip-probe", **TINY)
    hugging = detector.state()
    layers = [f"vision_model.encoder.layers.{i}" for i in range(2)]
    openai = {
        "visual.proj": hugging["visual_projection.weight"].T,
        "visual.class_embedding": hugging["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": hugging["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": hugging["vision_model.embeddings.patch_embedding.weight"],
        "token_embedding.weight": np.zeros((3, 2), np.float32),
        **{k: v for k, v in hugging.items() if k.startswith("fc.")},
    }
    for leaf in ("weight", "bias"):
        for ours, theirs in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
            openai[f"visual.{theirs}.{leaf}"] = hugging[f"vision_model.{ours}.{leaf}"]
        for i, layer in enumerate(layers):
            start = f"visual.transformer.resblocks.{i}"
            three = [hugging[f"{layer}.self_attn.{p}_proj.{leaf}"] for p in "qkv"]
            openai[f"{start}.attn.in_proj_{leaf}"] = np.concatenate(three)
            names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
            for ours, theirs in (names | {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}).items():
                openai[f"{start}.{theirs}.{leaf}"] = hugging[f"{layer}.{ours}.{leaf}"]
    found = create("clip-probe", **TINY).load(openai).state()
    assert all(np.array_equal(found[k], v) for k, v in hugging.items())


def test_the_probe_computes_features_once_and_learns_in_a_few_steps(monkeypatch):
    torch.manual_seed(0)  # Some random features are easier to separate than others.
    detector = create("clip-probe", **TINY)
    session = detector.training(TrainSettings(lr=0.1, batch_size=8, threads=1), 60, 60)
    calls = []
    forward = type(detector.network).forward
    monkeypatch.setattr(type(detector.network), "forward", lambda self, x: calls.append(len(x)) or forward(self, x))
    labels = np.arange(8) % 2
    frames = np.random.default_rng(0).integers(0, 60, (8, 42, 42, 3)) + 150 * labels[:, None, None, None]
    batch = {"image": frames.astype(np.uint8), "label": labels}
    losses = [session.step(batch)["loss"] for _ in range(60)]
    assert calls == [8]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("name", "options"), [("gend", {}), ("effort", {}), ("effort", {"variant": "released"})])
def test_a_step_changes_only_the_trainable_weights(name, options):
    detector = create(name, **TINY, **options)
    before = detector.state()
    session = detector.training(TrainSettings(lr=1e-2, batch_size=4, threads=1), 2, 2)
    images = np.random.default_rng(0).integers(0, 256, (4, 42, 42, 3), dtype=np.uint8)
    losses = session.step({"image": images, "label": np.array([0, 1, 0, 1])})
    assert all(np.isfinite(v) for v in losses.values())
    changed = {k for k, v in detector.state().items() if not np.array_equal(v, before[k])}
    trainable = ("_residual", "head.") if name == "effort" else ("norm", "linear")
    assert changed
    assert all(any(part in key for part in trainable) for key in changed)
    if options == {} and name == "effort":
        assert losses["orthogonality"] < 1e-3, "it starts as CLIP itself"


@pytest.mark.parametrize("i", range(3))
def test_the_residual_layer_and_its_losses_equal_the_references(i):
    want = {k[3:]: torch.tensor(v) for k, v in read_golden("effort_svd").items() if k.startswith(f"c{i}_")}
    layer = ResidualLinear.from_linear(want["W"], want["b"], (7, 4, 3)[i])
    with torch.no_grad():
        np.testing.assert_allclose(layer(want["x"]), want["y"], atol=2e-6)
        np.testing.assert_allclose(layer.weight_main, want["weight_main"], atol=2e-6)
        np.testing.assert_allclose(layer.residual, want["residual"], atol=2e-6)
        assert layer.orthogonality().item() == pytest.approx(want["orth_init"].item(), abs=2e-6)
        assert layer.energy == pytest.approx(want["fn_init"].item(), abs=1e-5)
        for name, part in layer.named_parameters():
            if name.endswith(("_r", "_residual")):
                part.copy_(torch.tensor(make_weight(f"effort{i}.{name}", tuple(part.shape), 1.0)))
    assert layer.orthogonality().item() == pytest.approx(want["orth_filled"].item(), abs=1e-5)
    assert layer.energy_change().item() == pytest.approx(want["keepsv_filled"].item(), abs=1e-5)
    y = layer(want["x"])
    np.testing.assert_allclose(y.detach(), want["y_filled"], atol=2e-6)
    y.square().mean().backward()
    for name in "SUV":
        np.testing.assert_allclose(getattr(layer, f"{name}_residual").grad, want[f"grad_{name}"], atol=1e-6)


@pytest.mark.parametrize("case", GEND["losses"][:4], ids=lambda c: c["key"])
def test_gend_losses_equal_the_references(case):
    features = torch.nn.functional.normalize(torch.tensor(make_input((case["N"], case["D"]), case["key"])), dim=1)
    features.requires_grad_()
    logits = torch.tensor(make_input((case["N"], 2), case["key"] + "/logits", -2, 2))
    losses = compute_losses(logits, features, torch.tensor(case["labels"]))
    wanted = {"ce": "ce", "alignment": "alignment", "uniformity": "uniformity", "loss": "total_1_0.5_0.1"}
    for ours, theirs in wanted.items():
        assert losses[ours].item() == pytest.approx(case[theirs], abs=2e-6)
    losses["loss"].backward()
    assert features.grad.norm().item() == pytest.approx(case["grad_norm_wrt_normalised"], abs=2e-6)


def test_gend_losses_of_equal_and_single_features():
    same = torch.ones(4, 3) / 3**0.5
    assert [alignment_loss(same, torch.zeros(4)).item(), uniformity_loss(same).item()] == [0, 0]
    assert [alignment_loss(same[:1], torch.zeros(1)).item(), uniformity_loss(same[:1]).item()] == [0, 0]


@pytest.mark.parametrize("case", GEND["align_face"], ids=lambda c: str(c["target"]))
def test_gends_crop_equals_the_references(case):
    points = np.array(case["landmarks"])
    side = case["target"][0] if case["target"] else find_side(points, case["scale"])
    placed = place_template(side, case["scale"])
    assert side == case["out_shape"][0]
    np.testing.assert_allclose(placed, case["dst"], atol=1e-4)
    np.testing.assert_allclose(find_similarity(points, placed), case["M"], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "weights", "message"),
    [
        ("clip-probe", TINY, {"weight": np.zeros((1, 768)), "bias": np.zeros(1)}, "the ViT's weights aren't available"),
        ("effort", TINY, {"head.weight": np.zeros((2, 64))}, "another architecture"),
        ("gend", TINY, {"model.linear.weight": np.zeros((2, 64))}, "another architecture"),
    ],
)
def test_weights_that_do_not_fit_are_a_one_line_error(name, options, weights, message):
    detector = create(name, **options)
    with pytest.raises(BenchError, match=message) as raised:
        detector.load(weights)
    assert "\n" not in str(raised.value)
    assert detector.is_empty


def test_effort_variants_refuse_each_others_weights():
    paper, bench = create("effort", **TINY), create("effort", variant="deepfakebench", **TINY)
    with pytest.raises(BenchError, match=r"24 keys missing \(first: .*S_r"):
        paper.load(bench.state())
    with pytest.raises(BenchError, match="24 keys not known"):
        bench.load(paper.state())
    assert create("effort", variant="released", **TINY).load(paper.state()).state().keys() == bench.state().keys()


def test_an_encoder_that_cannot_be_fetched_is_a_one_line_error(monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(
        BenchError, match=r"no weights vit_large_patch14_clip_quickgelu_224\.openai, .*pretrained=false"
    ):
        create("gend", pretrained=True)
