"""Readers of files that users may get from anywhere, each with a small valid file for the fuzzer to change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Target(NamedTuple):
    """`make` writes valid data into a folder and returns the file to change; `read` reads it as commands do."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    inputs: int


def make_predictions(path: Path) -> Path:
    import pandas as pd
    from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions

    rows = [
        (f"v{i}.mp4", f, i % 2, (i * 7 + f) % 10 / 10, "swap" if i % 2 else "real") for i in range(6) for f in (0, 9)
    ]
    table = pd.DataFrame(rows, columns=["video", "frame", "label", "score", "method"]).assign(
        gender="male", identity="a+b"
    )
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        write_predictions(path, table, PredictionsMetadata(official=6, scored=6, attributes=["gender"]))
    return path


def score(path: Path) -> None:
    from crossfake.benchmark.stats.scoring import make_scorecard

    make_scorecard(path, 0.5, 20)


def make_card(path: Path) -> Path:
    from crossfake.benchmark.core.records import as_json

    predictions = make_predictions(path.with_name("predictions.parquet"))
    from crossfake.benchmark.stats.scoring import make_scorecard

    cell = {"detector": "meso4", "name": "meso4", "backend": "torch", "train": "ff++:c23", "test": "celebdf", "seed": 0}
    cell |= {"limit": None, "frames": 2, "world": "real", "protocol": "real", "weights": "trained here"}
    cell |= {"selection": "source val", "options": {}, "recipe_key": "r", "train_key": "t", "test_key": "e"}
    content = make_scorecard(predictions, 0.5, 20).to_json() | {"cell": as_json(cell), "score": {"draws": 20}}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def make_board(path: Path) -> None:
    """Read the folder's cards, and make a board of the readable ones."""
    from crossfake.leaderboards.board import format_data, load_cards_with_problems, long_table, make_tables
    from crossfake.leaderboards.html import render_page
    from crossfake.leaderboards.markdown import render_markdown

    cards, _ = load_cards_with_problems(path.parent)
    made = make_tables(cards)
    render_markdown(made), render_page(made), [*format_data(made)], long_table(cards)


def write(text: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return make


def read_config(path: Path) -> None:
    from crossfake.benchmark.core.settings import load_settings

    load_settings("meso4", demo=False, config=path)


def read_set(path: Path) -> None:
    from crossfake.benchmark.core.settings import load_settings

    load_settings("meso4", demo=False, overrides=[path.read_bytes().decode(errors="surrogateescape")])


def list_videos(name: str, up: int) -> Callable[[Path], None]:
    """Return a function that lists the dataset whose root is this many folders above the file."""

    def read(path: Path) -> None:
        from crossfake.datasets.base import load_videos

        list(load_videos(name, path.parents[up]).videos)

    return read


def make_tree(files: dict[str, str], changed: str) -> Callable[[Path], Path]:
    """Return a function that writes other files next to the one to change; empty ones stand for videos."""

    def make(path: Path) -> Path:
        for name, text in files.items():
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / name).write_text(text, encoding="utf-8")
        return path.parent / changed

    return make


YOUTUBE, DEEPFAKES = "original_sequences/youtube/c23/videos", "manipulated_sequences/Deepfakes/c23/videos"
FFPP = {f"FaceForensics++/{YOUTUBE}/{n}.mp4": "" for n in ("000", "001", "002", "003", "004", "005")}
FFPP |= {f"FaceForensics++/{DEEPFAKES}/{n}.mp4": "" for n in ("000_001", "002_003", "004_005")}
FFPP |= {
    f"FaceForensics++/{s}.json": json.dumps([[a, b]]) for s, a, b in (("train", "000", "001"), ("val", "002", "003"))
}
FFPP |= {"FaceForensics++/test.json": json.dumps([["004", "005"]])}
CELEB = {f"Celeb-DF-v2/{n}": "" for n in ("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4")}
CELEB |= {"Celeb-DF-v2/List_of_testing_videos.txt": "1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"}
DFDC = {f"DFDC/test/{n}.mp4": "" for n in "ab"} | {"DFDC/test/labels.csv": "filename,label\na.mp4,0\nb.mp4,1\n"}
PART = "DFDC/train/dfdc_train_part_0/metadata.json"
DFDC |= {
    PART: json.dumps({"c.mp4": {"label": "FAKE", "original": "d.mp4"}, "d.mp4": {"label": "REAL", "split": "train"}})
}
FRAMES = [f"./datasets/rgb/FaceForensics++/original_sequences/youtube/c23/frames/000/{n}.png" for n in ("000", "010")]
BENCH = {"FaceForensics++": {"FF-real": {"test": {"c23": {"000": {"label": "FF-real", "frames": FRAMES}}}}}}
GROUPS = "video,gender,race\n000.mp4,male,white\n001.mp4,female,asian\n"
PAPERS = "img_path,label,ismale,isasian,iswhite,isblack,intersec_label\n"
PAPERS += "a/b/0.png,0,1,-1,1,-1,1\na/b/1.png,1,-1,1,-1,-1,4\na/c/0.png,1,1,-1,-1,1,2\n"


def read_groups(path: Path) -> None:
    from crossfake.datasets.demographics.tables import read_groups as read

    read(path)


def read_papers(path: Path) -> None:
    from crossfake.datasets.demographics.papers_csv import read_paper_csv

    read_paper_csv(path)


def read_manifest(path: Path) -> None:
    from crossfake.datasets.manifest import read_manifest as read

    list(read(path))


def make_weights(path: Path) -> Path:
    from safetensors.numpy import save_file

    header = json.dumps({"detector": "meso4", "options": {}, "trained_on": {"dataset": "ff++:c23"}})
    save_file(
        {"conv.weight": np.ones((2, 3), np.float32), "bias": np.zeros(4, np.float32)}, path, {"crossfake": header}
    )
    return path


def make_torch_weights(path: Path) -> Path:
    import torch

    torch.save({"state_dict": {"module.conv.weight": torch.ones(2, 3), "module.bias": torch.zeros(4)}}, path)
    return path


def read_weights(path: Path) -> None:
    from crossfake.benchmark.core.checkpoints import read_header
    from crossfake.detectors.common.weights import load_weights

    read_header(path)
    expected = {"conv.weight": np.ones((2, 3)), "bias": np.zeros(4)}
    load_weights(path, "numpy", lambda: expected, lambda shapes: None)


def make_shard(path: Path) -> Path:
    from crossfake.benchmark.core.types import Face, PrepareResult
    from crossfake.datasets.faces.encodings import encode
    from crossfake.datasets.faces.face_store import write_shard

    crop = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
    face = Face(crop, np.full((81, 2), 9, np.float32), np.array([1, 1, 40, 40], np.float32), 0, (3, 4), (99, 99))
    result = PrepareResult("a.mp4", "ok", 1, 1, (0,))
    write_shard(path, {"frames": 1}, [(result, [(face, encode(crop, "png"))])])
    return path


def read_shard(path: Path) -> None:
    from crossfake.datasets.faces.face_store import FaceStore, check_shard

    check_shard(path)
    store = FaceStore(path.parent)
    for video in store.outcomes():
        store.faces(video)


def make_image(path: Path) -> Path:
    import cv2

    cv2.imwrite(str(path), np.arange(40 * 32 * 3, dtype=np.uint8).reshape(40, 32, 3))
    return path


def read_image(path: Path) -> None:
    from crossfake.benchmark.core.readers.images import read_image as read

    read(path)


def make_video(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level * 40, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_video(path: Path) -> None:
    from crossfake.datasets.faces.sampling import VideoFile, choose_frames

    clip = VideoFile(path)
    list(clip.frames(choose_frames(clip.reported_frames, 4)))
    clip.describe_problem()


def make_lmdb(path: Path) -> Path:
    import lmdb

    folder = path.parent / "store"
    shutil.rmtree(folder, ignore_errors=True)
    with lmdb.open(str(folder), map_size=1 << 20) as store, store.begin(write=True) as change:
        for number in range(40):
            change.put(f"a/{number:03d}.png".encode(), bytes([number]) * (number * 97))
    return folder / "data.mdb"


def read_lmdb(path: Path) -> None:
    from crossfake.benchmark.core.readers.lmdb_files import LmdbFile

    found = LmdbFile(path.parent)
    for number in range(0, 42, 3):
        found.get(f"a/{number:03d}.png".encode())


CONFIG = "detectors: {meso4: {options: {}}}\ntrain: {epochs: 3, lr: 1.0e-4}\nfaces:\n  frames: 8\ntag: mine\n"
TARGETS = {
    "predictions.csv": Target(make_predictions, score, 1500),
    "predictions.parquet": Target(make_predictions, score, 1500),
    "scorecard.json": Target(make_card, make_board, 1000),
    "meso4__celebdf.json": Target(make_card, make_board, 1000),
    "config.yaml": Target(write(CONFIG), read_config, 10000),
    "set.txt": Target(write("train.lr=1e-4"), read_set, 14000),
    "ffpp": Target(make_tree(FFPP, "FaceForensics++/test.json"), list_videos("ff++", 1), 6000),
    "celebdf": Target(make_tree(CELEB, "Celeb-DF-v2/List_of_testing_videos.txt"), list_videos("celebdf", 1), 7000),
    "dfdc-labels": Target(make_tree(DFDC, "DFDC/test/labels.csv"), list_videos("dfdc", 2), 6000),
    "dfdc-metadata": Target(make_tree(DFDC, PART), list_videos("dfdc", 3), 6000),
    "deepfakebench": Target(
        make_tree(
            {"dataset_json/FaceForensics++.json": json.dumps(BENCH), **dict.fromkeys(FRAMES, "")},
            "dataset_json/FaceForensics++.json",
        ),
        list_videos("deepfakebench:FaceForensics++", 1),
        7000,
    ),
    "groups.csv": Target(write(GROUPS), read_groups, 6000),
    "papers.csv": Target(write(PAPERS), read_papers, 6000),
    "manifest.csv": Target(write("path,label,split\na.mp4,0,test\nb.mp4,fake,train\n"), read_manifest, 6000),
    "weights.safetensors": Target(make_weights, read_weights, 10000),
    "weights.pth": Target(make_torch_weights, read_weights, 5000),
    "store.arrow": Target(make_shard, read_shard, 6000),
    "image.png": Target(make_image, read_image, 7000),
    "image.jpg": Target(make_image, read_image, 7000),
    "video.mp4": Target(make_video, read_video, 4000),
    "lmdb": Target(make_lmdb, read_lmdb, 7000),
}
