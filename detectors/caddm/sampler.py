"""Training examples: real faces, fakes and multi-scale facial swaps between them. NumPy and OpenCV, no backend.

Three policies: `paper` does what the paper describes, `reference` what the released code does, bugs included, and
`gentle` adapts the paper's to small crops of small faces. docs/caddm.md documents each difference with evidence.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from ...benchmark.core.errors import require_known
from ...benchmark.core.types import TrainSample
from ..common.options import Options, bind_options, check_options, check_range, list_options
from .alignment import REFERENCE_SIZE, UPRIGHT, Jitter, draw_jitter
from .blend import Box, clone_misplaced, paste
from .draws import flip_coin
from .frame_pair import FramePair, halve, make_frame_pair
from .photometric import augment
from .swap import (
    WINDOWS,
    choose_patch,
    find_changed_box,
    find_widened_face,
    make_hull_mask,
    make_patch_mask,
    shake_hull,
)
from .targets import WHOLE, assign

Corners = tuple[float, ...]


@dataclass(frozen=True)
class SwapPolicy:
    """Flags for differences between the released code and the paper (True is the paper's way); shares and factors."""

    boxes_xy: bool = True  # Boxes are (x0, y0, x1, y1), not (y0, x0, y1, x1) matched against (x, y) anchors.
    poisson_in_place: bool = True  # Poisson blending pastes in place, with any mask.
    patch_in_place: bool = True  # A partial swap goes where the difference was measured.
    flip: bool = True  # Mirror half of the examples.
    resize: bool = True  # Apply the random shrinking and enlarging.
    fallback: bool = True  # Try a global swap if a partial one changes too little, instead of dropping the example.
    exact_landmarks: bool = True  # Don't truncate landmarks when the frame is halved.
    halved: float = 0.3  # Share of examples at half the resolution.
    photometric: float = 1.0  # Factor on the probability of each photometric step.
    jitter: float = 1.0  # Factor on the crop's random scale, shift and rotation.
    partial: float = 0.2  # Share of the fakes with an original that get a partial swap; the others get a global one:
    genuine_in_fake: float = 0.5  # of those, the share with the genuine face pasted into the fake frame,
    fake_in_genuine: float = 0.5  # and of the rest, the share the other way round. The remainder stays raw.


PAPER = SwapPolicy()
REFERENCE = SwapPolicy(*[False] * 7)
# Faces 100 pixels wide have no resolution to spare; and if the whole manipulation is inside the hull, pasting the
# genuine face into the fake frame restores the genuine frame, labelled fake.
GENTLE = SwapPolicy(halved=0.0, photometric=0.05, genuine_in_fake=0.0)
POLICIES = {"paper": PAPER, "reference": REFERENCE, "gentle": GENTLE}


def make_policy(name: str, changes: Options | None = None) -> SwapPolicy:
    """Return the policy of this name, with some fields changed.

    Raises:
        BenchError: there is no such policy or field, or a value isn't valid for its field.
    """
    require_known("CADDM recipe", name, POLICIES)
    known, changes = list_options(SwapPolicy), changes or {}
    check_options("caddm", changes, known, "recipe_args")
    made = bind_options(SwapPolicy, {**asdict(POLICIES[name]), **changes})()
    for field in changes:
        if known[field].kind is float:  # A share or a factor.
            most = math.inf if field == "photometric" else 1
            check_range("caddm", f"recipe_args.{field}", getattr(made, field), 0, most, known[field].example)
    return made


@dataclass(frozen=True)
class CaddmSampler:
    """Makes `image` uint8 (S, S, 3) RGB, `label` int64, `loc_targets` float32 (168, 4), `conf_targets` int64 (168,).

    A fake without a matching original is used as it is. All randomness comes from `rng`.
    """

    size: int = REFERENCE_SIZE
    policy: SwapPolicy = PAPER

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
        """Make one example; empty if a partial swap changed too little (reference policy only)."""
        pair = make_frame_pair(sample)
        if flip_coin(rng, self.policy.halved):
            pair = halve(pair, whole_landmarks=not self.policy.exact_landmarks)
        swapped = (
            self.make_fake(pair, rng)
            if sample.label
            else (pair.align(pair.image, self._draw_jitter(rng, train=True), self.size), [])
        )
        if swapped is None:
            return {}
        image, boxes = self._augment(*swapped, rng)
        loc, conf = self.make_targets(boxes)
        return {"image": image, "label": np.array(sample.label, np.int64), "loc_targets": loc, "conf_targets": conf}

    def make_fake(
        self, pair: FramePair, rng: np.random.Generator, train: bool = True
    ) -> tuple[np.ndarray, list[Corners]] | None:
        """Swap and align: a uint8 (S, S, 3) RGB crop and its boxes, (x0, y0, x1, y1) as fractions of the crop.

        Without `train`, masks aren't deformed and the crop is upright. None if a partial swap changed too little.
        """
        poisson = flip_coin(rng, 0.5)
        if pair.original is not None and not flip_coin(rng, 1 - self.policy.partial):
            swapped = self._swap_partially(pair, poisson, rng, train)
            if swapped or not self.policy.fallback:
                return swapped
        image = self._swap_globally(pair, poisson, rng, train)
        return pair.align(image, self._draw_jitter(rng, train), self.size), [WHOLE]

    def _swap_globally(self, pair: FramePair, poisson: bool, rng: np.random.Generator, train: bool) -> np.ndarray:
        """Paste the genuine face into the fake frame, or the reverse, or leave the fake as it is."""
        if pair.original is None:
            return pair.image
        if flip_coin(rng, self.policy.genuine_in_fake):
            pasted, background = pair.original, pair.image
        elif flip_coin(rng, self.policy.fake_in_genuine):
            pasted, background = pair.image, pair.original
        else:
            return pair.image
        shaken = train and flip_coin(rng, 0.5)
        mask = make_hull_mask(pair.points, background.shape)
        if shaken:
            mask = shake_hull(mask, 0.08 * pair.frame_size[1], float(rng.integers(300, 501)), rng)
        if self.policy.poisson_in_place or not poisson:
            return paste(pasted, background, mask, poisson)
        moved = None if shaken else clone_misplaced(pasted, background, mask, pair.top_left, pair.frame_size)
        return paste(pasted, background, mask, False) if moved is None else moved

    def _swap_partially(
        self, pair: FramePair, poisson: bool, rng: np.random.Generator, train: bool
    ) -> tuple[np.ndarray, list[Corners]] | None:
        """Paste a window of the fake into the genuine frame; None if it changes too little."""
        assert pair.original is not None
        window = WINDOWS[int(rng.integers(len(WINDOWS)))]
        patch = choose_patch(pair.image, pair.original, pair.points, window)
        jitter = self._draw_jitter(rng, train)
        if patch is None:
            return None
        if not self.policy.patch_in_place:
            patch = _displace_patch(patch, pair)
        mask = make_patch_mask(patch, pair.image.shape)
        blended = paste(pair.image, pair.original, mask, poisson and self.policy.poisson_in_place)
        image, background = (pair.align(i, jitter, self.size) for i in (blended, pair.original))
        box = find_changed_box(image, background, window)
        return None if box is None else (image, [WHOLE, tuple(n / self.size for n in box)])

    def _draw_jitter(self, rng: np.random.Generator, train: bool) -> Jitter:
        return draw_jitter(rng, self.policy.jitter) if train else UPRIGHT

    def make_targets(self, boxes: list[Corners]) -> tuple[np.ndarray, np.ndarray]:
        """Return the anchors' targets (see `assign`), with boxes in the policy's axis order."""
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        return assign(corners if self.policy.boxes_xy else corners[:, [1, 0, 3, 2]])

    def _augment(
        self, image: np.ndarray, boxes: list[Corners], rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Corners]]:
        """Mirror, and augment in BGR, as OpenCV's JPEG encoder expects."""
        if self.policy.flip and flip_coin(rng, 0.5):
            image = image[:, ::-1]
            boxes = [(1 - x1, y0, 1 - x0, y1) for x0, y0, x1, y1 in boxes]
        bgr = augment(np.ascontiguousarray(image[..., ::-1]), rng, self.policy.resize, self.policy.photometric)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), boxes


def _displace_patch(patch: Box, pair: FramePair) -> Box:
    """Shift a patch as the released code does: found in the widened box, applied from the landmarks' own corner."""
    face = find_widened_face(pair.points, pair.image.shape)
    x, y = (int(v) for v in pair.points.min(0))
    return patch._replace(x=patch.x - face.x + x, y=patch.y - face.y + y)
