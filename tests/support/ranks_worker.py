"""Run the steps of a few trainings, in one process or as one of several ranks; also a script.

`python ranks_worker.py PORT RANK RANKS OUT CASE...`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create
from crossfake.detectors.caddm.targets import assign
from crossfake.detectors.common_torch.detector import TorchDetector
from crossfake.detectors.common_torch.ranks import TorchRanks
from torch import distributed as dist

STEPS, ROWS = 3, 6
RESNET = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [8, 16, 16, 16], "stem_width": 8}}
CASES = {
    "meso4": ("meso4", {"input_size": 32}, {}),
    "meso4 sam": ("meso4", {"input_size": 32}, {"sharpness": "sam"}),
    "meso4 pieces": ("meso4", {"input_size": 32}, {"micro_batch": 2}),
    "meso4 lost": ("meso4", {"input_size": 32}, {}),
    "caddm": ("caddm", {**RESNET, "input_size": 112, "scale_input": True}, {"sharpness": "sam", "rho": 0.01}),
    "timm": ("timm:tf_efficientnet_b0", {"input_size": 32}, {"lr": 1e-5}),
}


def make_batch(case: str, step: int) -> dict[str, np.ndarray]:
    """Make the whole batch of a step. Rows 0 and 2 are real and have the anchors, so that the ranks differ."""
    rng, size = np.random.default_rng(step), CASES[case][1]["input_size"]
    label = np.array([0, 1, 0, 1, 1, 1])
    boxes = [np.array([[0, 0, 1, 1]][: 1 - fake], np.float32).reshape(-1, 4) for fake in label]
    loc, conf = zip(*map(assign, boxes), strict=True)
    image = rng.integers(0, 256, (ROWS, size, size, 3), dtype=np.uint8)
    return {"image": image, "label": label, "loc_targets": np.stack(loc), "conf_targets": np.stack(conf)}


def make(case: str, frozen: bool) -> TorchDetector:
    """Make the detector of a case, without random draws in training; `frozen` keeps its batch norms' statistics."""
    torch.manual_seed(0)
    detector = create(CASES[case][0], backend="torch", **CASES[case][1])
    for module in detector.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
        if frozen and isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval().train = lambda mode=True, module=module: module
    return detector


def take(
    case: str, ranks: TorchRanks | None = None, detector: TorchDetector | None = None
) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """Take the steps, alone or as one of the ranks, and return the losses and the weights."""
    settings = CASES[case][2]
    detector = detector or make(case, frozen="micro_batch" in settings)
    if ranks and ranks.rank:
        torch.nn.init.zeros_(next(detector.network.parameters()))  # Rank 0's weights are used.
    settings = {"optimizer": "sgd", "lr": 1e-2, "batch_size": ROWS, "threads": 1, **settings}
    session = detector.training(TrainSettings(**settings), STEPS, STEPS)
    if ranks:
        session.join(ranks)
    losses = []
    for step in range(STEPS):
        places = np.arange(ROWS)[ranks.rank :: ranks.count] if ranks else np.arange(ROWS)
        if case == "meso4 lost":  # The second of two ranks has no rows in the first step.
            places = places[places % 2 == 0] if step == 0 else places
        losses.append(session.step({k: v[places] for k, v in make_batch(case, step).items()} if len(places) else {}))
    return losses, detector.state()


def main() -> None:
    port, rank, count, out = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    store = dist.TCPStore("127.0.0.1", port, count, is_master=False)
    for i, case in enumerate(sys.argv[5:]):
        own = dist.PrefixStore(str(i), store)
        ranks = TorchRanks(own, rank, count, seed=0)
        try:
            losses, state = take(case, ranks)
        except BenchError as error:
            ranks.leave(str(error))
            raise
        ranks.leave()
        if rank == 0:
            (out / f"{i}.json").write_text(json.dumps(losses))
            np.savez(out / f"{i}.npz", **state)


if __name__ == "__main__":
    main()
