"""From frames to a row, in whole processes: 200 frames of 720p through CADDM's ResNet-34, with prepared faces.

The released code has whole frames as PNG and their landmarks: it decodes, warps and scores each. crossfake has crops in
its face store, and also computes a card with 1,000 draws.
"""

from __future__ import annotations

import tempfile
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from .measuring import PEER, Row, has_amx, make_rows
from .processes import run_bench, run_python
from .videos import enlarge_clips, read_clip

VIDEOS, FRAMES, SIZE = 8, 25, (1280, 720)
WAYS = {"fp32": "", "openvino fp32": "--runtime openvino"}
GOALS = {"openvino fp32": 2.0}
SCORE = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from peers.end_to_end import score_frames; score_frames(Path(sys.argv[2]))
"""
WHAT = f"end to end, {VIDEOS * FRAMES} frames of {SIZE[1]}p"


def measure(rounds: int) -> list[Row]:
    """Run both ways' processes in turn."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save_weights(root / "weights.safetensors")
        enlarge_clips(root, VIDEOS, FRAMES, SIZE)
        write_frames(root)
        asked = f"eval {root}/weights.safetensors --test celebdf --data {root} --no-speed --set faces.frames={FRAMES}"
        run_bench(f"{asked} --runs {root}/first")  # Finds the faces.
        seconds: dict[str, list[float]] = {PEER: []}
        for number in range(rounds):
            seconds[PEER].append(run_python(["-c", SCORE, Path(__file__).parents[1], root]).seconds)
            for way, options in WAYS.items():
                runs = root / f"{number}.{way.replace(' ', '.')}"
                seconds.setdefault(way, []).append(run_bench(f"{asked} --runs {runs} {options}").seconds)
    skipped = [] if has_amx() else [Row(WHAT, "bf16", goal=4.0, skipped="no AMX")]
    return make_rows(WHAT, seconds, GOALS) + skipped


def save_weights(path: Path) -> None:
    """Write a checkpoint of random weights."""
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    save(create("caddm", backbone="resnet34"), path, {"options": {"backbone": "resnet34"}, "detector": "caddm"})


def write_frames(root: Path) -> None:
    """Write every clip's frames as PNG."""
    for clip in sorted((root / "Celeb-DF-v2").rglob("*.mp4")):
        for number, frame in enumerate(islice(cycle(read_clip(clip)), FRAMES)):
            cv2.imwrite(str(root / f"{clip.stem}.{number:03d}.png"), frame[..., ::-1])


def score_frames(root: Path) -> None:
    """Do it like the released code, in a separate process: each frame is fully decoded, aligned and scored."""
    import torch
    from crossfake.detectors import create

    detector = create("caddm", backbone="resnet34").load(root / "weights.safetensors")
    network, crops = detector.network.eval(), []
    onto = np.array([[0.6, 0.0, -272.0], [0.0, 0.6, -104.0]])
    for path in sorted(root.glob("*.png")):
        frame = cv2.imread(str(path))
        crops.append(cv2.warpAffine(frame, onto, (224, 224), flags=cv2.INTER_LINEAR).astype(np.float32))
    images = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        for batch in images.split(32):
            network(batch)["logits"].softmax(1)
