"""What JAX's training steps keep for the backward pass, with and without `train.remat`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create

pytest.importorskip("flax")

from kept_values import count_kept

BATCH = 4
OWN: dict[str, dict[str, Any]] = {"caddm": {"backbone": "resnet34"}, "pgfdd": {"checkpointing": False}}
DETECTORS = ("meso4", "mesoinception4", "resnet34", "xception", "efficientnet-b4", "caddm", "pgfdd")


def start_session(name: str, remat: bool) -> tuple[Any, dict[str, np.ndarray]]:
    pretrained = {} if name.startswith("meso") else {"pretrained": False}
    detector = create(name, backend="jax", **pretrained, **OWN.get(name, {}))
    one = np.arange(BATCH) * 2 // BATCH
    batch = {
        "image": np.zeros((BATCH, detector.input_size, detector.input_size, 3), np.uint8),
        "label": one,
        "loc_targets": np.zeros((BATCH, 168, 4), np.float32),
        "conf_targets": np.zeros((BATCH, 168), np.int64),
        "label_spe": one,
        "intersec_label": one,
    }
    return detector.training(TrainSettings(batch_size=BATCH, balance=True, remat=remat), 1, 1), batch


@pytest.mark.parametrize("name", DETECTORS)
def test_kept(name: str) -> None:
    before, after = (count_kept(*start_session(name, remat)) for remat in (False, True))
    size = start_session(name, True)[0].detector.input_size
    print(f"\n| {name} {size} | {before / 1e6:,.0f} | {after / 1e6:,.0f} | {before / after:.1f} |")


def test_a_processors_compiler_undoes_it() -> None:
    steps = []
    for remat in (False, True):
        session, batch = start_session("resnet34", remat)
        lowered = session.update.lower(*session.make_step_arguments(batch))
        compiled = lowered.compile()
        asked, left = lowered.as_text().count("stablehlo.convolution("), compiled.as_text().count(" convolution(")
        steps.append(f"{compiled.memory_analysis().temp_size_in_bytes / 1e6:.0f} MB, {left} of {asked} convolutions")
    print("\nresnet34, as compiled for a processor: " + "; with train.remat ".join(steps))
