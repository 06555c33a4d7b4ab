"""Film the videos of one target: its real video and all fakes made from it, so that each frame is rendered once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...benchmark.core.workers import limit_to_one_thread
from .camera import CAMERAS, RATE, Camera, Light, draw_background, draw_light, expose, write_video
from .face_grid import Image, make_rng
from .landmarks import project_landmarks
from .manipulate import align, find_manipulated_box, forge, make_blending_mask
from .methods import METHODS, Method
from .motion import ALONE, BACK, FRONT, Moment, MotionTrack
from .people import Head, Person, build_head
from .render import render

MASK_CRF = 20


@dataclass(frozen=True)
class Clip:
    """One take of one person with one background: what the real video and its fakes have in common.

    `frames` is its length; the files have every `stride`-th frame of a scene. If there is a `companion`, `is_main`
    tells whether the person is the nearer, larger one.
    """

    person: Person
    take: int
    camera: str
    frames: int
    stride: int
    companion: Person | None = None
    is_main: bool = True

    @property
    def name(self) -> str:
        """Name the take."""
        return f"{self.person.name}-{self.take}"

    def time(self, index: int) -> float:
        """Return when frame `index` was taken, in seconds."""
        return index * self.stride / RATE


@dataclass(frozen=True)
class Fake:
    """A fake to be filmed: the paths of it and its mask (if any), how it is made, and whose face or expression."""

    path: str
    method: str
    donor: Clip
    mask: str | None = None


@dataclass(frozen=True)
class Shot:
    """A clip and what is made from it. `real` is the path of the real video, or None if it isn't written."""

    dataset: str
    split: str
    clip: Clip
    real: str | None
    fakes: tuple[Fake, ...] = ()

    @property
    def videos(self) -> list[str]:
        """List the paths of all files, relative to the root."""
        return ([self.real] if self.real else []) + [fake.path for fake in self.fakes]

    @property
    def files(self) -> list[str]:
        """List the paths of the videos and of the fakes' masks."""
        return self.videos + [fake.mask for fake in self.fakes if fake.mask]


class Companion(NamedTuple):
    """Who else is shown, and how that person moves."""

    head: Head
    track: MotionTrack


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip ready to be rendered."""

    head: Head
    track: MotionTrack
    light: Light
    background: np.ndarray
    camera: Camera
    noise: float
    blur: float
    companion: Companion | None = None


class GroundTruth(NamedTuple):
    """What is known of a video: (F, 81, 2) landmarks and (F, 4) manipulated boxes in pixels (None in real videos)."""

    video: str
    landmarks: np.ndarray
    boxes: np.ndarray | None


@lru_cache(maxsize=32)
def make_scene(clip: Clip) -> Scene:
    """Draw a clip's track, light and background: they depend on nothing else."""
    camera = CAMERAS[clip.camera]
    rng = make_rng(clip.person.seed, "scene", clip.name)
    place, companion = ALONE, None
    if clip.companion:
        theirs = make_rng(clip.person.seed, "companion", clip.name)
        places = (FRONT, BACK) if theirs.random() < 0.5 else (FRONT.mirror(), BACK.mirror())
        place, other = places if clip.is_main else places[::-1]
        companion = Companion(build_head(clip.companion), MotionTrack(theirs, camera.liveliness, other))
    track, light = MotionTrack(rng, camera.liveliness, place), draw_light(rng, camera)
    background = draw_background(rng)
    noise, blur = float(rng.uniform(*camera.noise)), float(rng.uniform(*camera.blur))
    return Scene(build_head(clip.person), track, light, background, camera, noise, blur, companion)


def film_frame(clip: Clip, moment: Moment, index: int) -> Image:
    """Return frame `index` of a clip before exposure, with its person as at `moment`."""
    scene = make_scene(clip)
    seen = [(scene.head, moment)]
    if scene.companion:  # The farther person comes first, since the other is drawn over them.
        theirs = scene.companion.head, scene.companion.track.at(clip.time(index))
        seen = [theirs, *seen] if clip.is_main else [*seen, theirs]
    *behind, (head, nearest) = seen
    background = scene.background
    for other, where in behind:
        background = _to_bytes(render(other, where, scene.light, background))
    return render(head, nearest, scene.light, background)


class Forgery:
    """A fake in the making: the random errors of its maker, and the mask of each frame."""

    def __init__(self, fake: Fake, clip: Clip, landmarks: list[np.ndarray]) -> None:
        self.method: Method = METHODS[fake.method]
        self.path, self.clip, self.donor = fake.path, clip, make_scene(fake.donor)
        rng = make_rng(clip.person.seed, "fake", clip.name, fake.donor.name, fake.method)
        steady, self.tint = rng.normal(size=2), rng.normal(size=3) - 0.5
        jitters = self.method.jitter * (steady + 0.5 * rng.normal(size=(len(landmarks), 2)))
        self.aims = [points + jitter.astype(np.float32) for points, jitter in zip(landmarks, jitters, strict=True)]
        self.masks = [make_blending_mask(self.method, aim) for aim in self.aims]

    def blend_frame(self, index: int, target: Image, source: tuple[Image, np.ndarray]) -> Image:
        """Return frame `index` with the source image, whose (81, 2) landmarks come with it, blended in."""
        image, landmarks = source
        aim = self.aims[index]
        if self.method.kind != "reenact":
            image = align(image, landmarks, aim, affine=self.method.kind == "warp")
        if self.method.grain:
            scene, rng = make_scene(self.clip), make_rng(self.clip.person.seed, "grain", self.path, index)
            image = expose(image, rng, scene.noise, scene.blur)
        face_width = 1.15 * float(np.linalg.norm(aim[16] - aim[0]))
        return forge(self.method, target, self.masks[index], image, face_width, self.tint)


@limit_to_one_thread()
def render_shot(root: Path, shot: Shot) -> list[GroundTruth]:
    """Write the shot's files under `root` that don't exist yet; return the ground truth for all of them."""
    scene = make_scene(shot.clip)
    moments = [scene.track.at(shot.clip.time(index)) for index in range(shot.clip.frames)]
    landmarks = [project_landmarks(scene.head, moment) for moment in moments]
    forgeries = [Forgery(fake, shot.clip, landmarks) for fake in shot.fakes]
    missing = {path for path in shot.files if not (root / path).exists()}
    for fake, forgery in zip(shot.fakes, forgeries, strict=True):
        if fake.mask in missing:
            write_video(root / fake.mask, [_to_bytes(np.dstack([mask] * 3)) for mask in forgery.masks], MASK_CRF)
    if missing.intersection(shot.videos):
        _write_missing(root, shot, missing, moments, [f for f in forgeries if f.path in missing])
    points = np.stack(landmarks)
    truths = [
        GroundTruth(f.path, points, np.stack([find_manipulated_box(mask) for mask in f.masks])) for f in forgeries
    ]
    return ([GroundTruth(shot.real, points, None)] if shot.real else []) + truths


def _write_missing(root: Path, shot: Shot, missing: set[str], moments: list[Moment], forgeries: list[Forgery]) -> None:
    scene = make_scene(shot.clip)
    frames: dict[str, list[np.ndarray]] = {path: [] for path in shot.videos if path in missing}
    for index, moment in enumerate(moments):
        rng = make_rng(shot.clip.person.seed, "noise", shot.clip.name, index)
        image = expose(film_frame(shot.clip, moment, index), rng, scene.noise, scene.blur)
        if shot.real in missing:
            frames[shot.real].append(_to_bytes(image))
        sources = _Sources(scene, moment, index, shot.clip.time(index))
        for forgery in forgeries:
            frames[forgery.path].append(_to_bytes(forgery.blend_frame(index, image, sources.render_source(forgery))))
    for path, images in frames.items():
        write_video(root / path, images, scene.camera.crf)


class _Sources:
    """The donors' images for one frame of the target; fakes of the same kind and donor share theirs."""

    def __init__(self, scene: Scene, moment: Moment, index: int, time: float) -> None:
        self.scene, self.moment, self.index, self.time = scene, moment, index, time
        self.made: dict[tuple[str, int], tuple[Image, np.ndarray]] = {}

    def render_source(self, forgery: Forgery) -> tuple[Image, np.ndarray]:
        """Return the image to take the face from, and its (81, 2) landmarks."""
        key = forgery.method.kind, id(forgery.donor)
        if key not in self.made:
            self.made[key] = getattr(self, f"_{forgery.method.kind}")(forgery.donor)
        return self.made[key]

    def _swap(self, donor: Scene) -> tuple[Image, np.ndarray]:
        image = render(donor.head, self.moment, self.scene.light, self.scene.background)
        return image, project_landmarks(donor.head, self.moment)

    def _reenact(self, donor: Scene) -> tuple[Image, np.ndarray]:
        expression = donor.track.at(self.time).expression._replace(blink=self.moment.expression.blink)
        moment = self.moment._replace(expression=expression)
        image = render(self.scene.head, moment, self.scene.light, self.scene.background)
        return image, project_landmarks(self.scene.head, moment)

    def _warp(self, donor: Scene) -> tuple[Image, np.ndarray]:
        moment = donor.track.at(self.time)
        image = render(donor.head, moment, donor.light, donor.background)
        return expose(image, np.random.default_rng(self.index), 0.01, 0.5), project_landmarks(donor.head, moment)


def _to_bytes(image: Image) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
