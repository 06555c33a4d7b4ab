"""DFDC preview (DFDCP), in its official layout.

    original_videos/<actor>/*.mp4    method_A/<actor>/.../*.mp4    method_B/<actor>/.../*.mp4
    dataset.json: {"method_A/<actor>/<name>.mp4": {"label": "fake", "set": "train", "target_id": ..., ...}, ...}

The same name occurs under both methods, so the whole path tells a video. There is no validation split: about a tenth of
the actors in the training set is held out as `val`, chosen by a hash of their numbers, with all fakes of them.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import Video
from .base import Release, find_home, finish_listing, hold_out, need_file, read_json, to_label

URL = "https://ai.meta.com/datasets/dfdc/"
LIST = "dataset.json"
REALS = "original_videos"
FOLDERS = (REALS, "method_A", "method_B")


@datasets.register(
    "dfdcp",
    aliases=("dfdc-preview",),
    title="DFDC preview",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://ai.meta.com/datasets/dfdc/",
    license="DFDC dataset agreement",
)
class DfdcPreview:
    """1,131 real videos and 4,119 fakes by two methods; 276 + 501 of them are the official test set."""

    def home(self, root: Path) -> Path:
        """Find the folder that holds original_videos, method_A or method_B, in or under `root`."""
        return find_home(root, "DFDC preview", ("DFDCP", "dfdc_preview", "dfdc-preview"), FOLDERS, URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List what dataset.json names, even videos that are missing on disk.

        Raises:
            BenchError: dataset.json is missing, or has an entry that can't be understood.
        """
        how = f"It comes with the videos, beside {REALS}: {URL}"
        listing = need_file([home / LIST], "the labels and sets of the DFDC preview", how)
        clips = {video: _check_entry(listing, video, facts) for video, facts in read_json(listing).items()}
        train = {video: facts for video, facts in clips.items() if facts["set"] == "train"}
        reals, fakes = (
            [_get_actor(v, f) for v, f in train.items() if f["label"] == label] for label in ("real", "fake")
        )
        val = hold_out(reals, fakes, seed="dfdcp")
        return finish_listing([_make_video(home, video, facts, val) for video, facts in clips.items()], home)

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts; dataset.json has the names."""
        counts = {("train", "real"): 855, ("train", "fake"): 3618, ("test", "real"): 276, ("test", "fake"): 501}
        return Release(counts, list(FOLDERS))


def _check_entry(listing: Path, video: str, facts: Any) -> dict[str, Any]:
    found = (facts.get("label"), facts.get("set")) if isinstance(facts, dict) else (None, None)
    if found[0] not in ("real", "fake") or found[1] not in ("train", "test"):
        raise BenchError(f"{listing}: {video} has label, set {found}; expected real or fake, train or test")
    return dict(facts)


def _make_video(home: Path, video: str, facts: dict[str, Any], val: set[str]) -> Video:
    fake, actor = facts["label"] == "fake", _get_actor(video, facts)
    donor = facts.get("swapped_id")
    people = (actor, str(donor)) if fake and donor is not None else (actor,)
    split = "test" if facts["set"] == "test" else "val" if actor in val else "train"
    method = PurePosixPath(video).parts[0] if fake else "real"
    return Video(video, home / video, to_label(fake), method, split, people)


def _get_actor(video: str, facts: dict[str, Any]) -> str:
    """Return whose video it is: real ones may name nobody, but lie in their actor's folder."""
    target = facts.get("target_id")
    return str(target) if target is not None else video.split("/")[1]
