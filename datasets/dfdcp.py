"""DFDC preview (DFDCP), in its official layout.

    original_videos/<actor>/*.mp4    method_A/<actor>/.../*.mp4    method_B/<actor>/.../*.mp4
    dataset.json: {"method_A/<actor>/<name>.mp4": {"label": "fake", "set": "train", "target_id": ..., ...}, ...}

The same name occurs under both methods, so the whole path identifies a video. There is no validation split: about a
tenth of the actors in the training set is held out as `val`, chosen by a hash of their numbers, with all their fakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import read_json, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import Release, Video
from .base import (
    DOWNLOAD_AGAIN,
    ListedOnce,
    VideoFiles,
    check_listed_path,
    find_home,
    finish_listing,
    hold_out,
    need_file,
    to_label,
)

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
        """Find the folder with original_videos, method_A or method_B, in or under `root`."""
        return find_home(root, "DFDC preview", ("DFDCP", "dfdc_preview", "dfdc-preview"), FOLDERS, URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos in dataset.json, even those missing on disk.

        Raises:
            BenchError: dataset.json is missing, names a video twice, or has an invalid entry.
        """
        how = f"It comes with the videos, next to {REALS}: {URL}"
        listing = need_file([home / LIST], "the labels and sets of the DFDC preview", how)
        clips = dict(_read_entries(listing))
        train = {video: facts for video, facts in clips.items() if facts["set"] == "train"}
        reals, fakes = (
            [_get_actor(v, f) for v, f in train.items() if f["label"] == label] for label in ("real", "fake")
        )
        val = hold_out(reals, fakes, seed="dfdcp")
        files = VideoFiles(home)
        return finish_listing([_make_video(files, video, facts, val) for video, facts in clips.items()], home)

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts; dataset.json has the names."""
        counts = {("train", "real"): 855, ("train", "fake"): 3618, ("test", "real"): 276, ("test", "fake"): 501}
        return Release(counts, list(FOLDERS))


class Clip(TypedDict):
    """An entry of dataset.json: real or fake, train or test, who is shown, and whose face was pasted."""

    label: str
    set: str
    target_id: str | int | None
    swapped_id: str | int | None


def _read_entries(listing: Path) -> Iterator[tuple[str, Clip]]:
    listed = ListedOnce()
    for key, facts in read_json(listing, dict, DOWNLOAD_AGAIN).items():
        video = check_listed_path(key, str(listing))
        listed.add(video, key, listing)
        yield video, _check_entry(listing, video, facts)


def _check_entry(listing: Path, video: str, facts: object) -> Clip:
    given = facts if isinstance(facts, dict) else {}
    found = (given.get("label"), given.get("set"))
    if found[0] not in ("real", "fake") or found[1] not in ("train", "test"):
        expected = "expected real or fake, train or test"
        raise BenchError(f"{listing}: {shorten(video)} has label, set {shorten(found)}; {expected}")
    people = [given.get("target_id"), given.get("swapped_id")]
    if not all(person is None or isinstance(person, str | int) for person in people):
        raise BenchError(
            f"{listing}: {shorten(video)} has the people {shorten(people)}; expected a number or a name for each"
        )
    if "/" not in video:
        raise BenchError(
            f"{listing}: {shorten(video)} isn't in a folder; expected {REALS}/<actor>/<name>.mp4 or the like"
        )
    return {"label": found[0], "set": found[1], "target_id": people[0], "swapped_id": people[1]}


def _make_video(files: VideoFiles, video: str, facts: Clip, val: set[str]) -> Video:
    fake, actor = facts["label"] == "fake", _get_actor(video, facts)
    donor = facts.get("swapped_id")
    people = (actor, str(donor)) if fake and donor is not None else (actor,)
    split = "test" if facts["set"] == "test" else "val" if actor in val else "train"
    method, there = video.partition("/")[0] if fake else "real", files.locate(video)
    return Video(there, files.home / there, to_label(fake), method, split, people)


def _get_actor(video: str, facts: Clip) -> str:
    """Return the people in a video: real ones may name nobody, but are in their actor's folder."""
    target = facts.get("target_id")
    return str(target) if target is not None else video.split("/")[1]
