"""Make a fake frame: align a source face, squeeze it through a bottleneck, match its colours, blend it in."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .face_grid import Image
from .landmarks import FOREHEAD, JAW, LIPS
from .methods import Method
from .motion import FRAME

FACE = slice(17, 68)  # brows, eyes, nose, mouth: used to align a face
NOSE_TIP = 30
_CHEQUERS = (np.indices((FRAME, FRAME)).sum(0) % 2 * 2 - 1).astype(np.float32)[..., None]


def make_blending_mask(method: Method, landmarks: np.ndarray) -> Image:
    """Return the (FRAME, FRAME) blending mask, 0..1, around landmarks in pixels."""
    points = REGIONS[method.mask](landmarks)
    centre = points.mean(0)
    hull = cv2.convexHull(np.round((centre + (points - centre) * method.shrink) * 8).astype(np.int32))
    mask = np.zeros((FRAME, FRAME), np.uint8)
    cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_AA, 3)
    side = 2 * int(method.feather / 2) + 1
    eroded = cv2.erode(mask, np.ones((side, side), np.uint8)).astype(np.float32) / 255
    return cv2.GaussianBlur(eroded, (0, 0), method.feather)


def find_manipulated_box(mask: Image) -> np.ndarray:
    """Return the (4,) float32 box x0, y0, x1, y1 of the visibly manipulated pixels; x1 and y1 are just outside."""
    x, y, width, height = cv2.boundingRect((mask > 0.3).astype(np.uint8))
    return np.array([x, y, x + width, y + height], np.float32)


def forge(method: Method, target: Image, mask: Image, source: Image, face_width: float, tint: np.ndarray) -> Image:
    """Return the target frame, float32 RGB 0..1, with the aligned source frame blended in under the mask.

    `face_width` is the width of the target's face in pixels, `tint` the (3,) colour cast, about -1..1.
    """
    x, y, width, height = cv2.boundingRect((mask > 0.02).astype(np.uint8))
    part = (slice(y, y + height), slice(x, x + width))
    face = _squeeze(method, source[part], min(1.0, method.resolution / face_width))
    face = _match_colours(face, target[part], mask[part], method.colour)
    if method.tint:
        face = np.clip(face * (1 + method.tint * tint).astype(np.float32), 0, 1)
    forged = target.copy()
    forged[part] += mask[part][..., None] * (face - target[part])
    return forged


def align(source: Image, source_landmarks: np.ndarray, landmarks: np.ndarray, affine: bool) -> Image:
    """Move a frame so that its face covers the target's: a similarity of the inner face, or a full affine map."""
    if affine:
        matrix = _fit_affine(source_landmarks[:68], landmarks[:68])
    else:
        matrix = _fit_similarity(source_landmarks[FACE], landmarks[FACE])
    return cv2.warpAffine(source, matrix, (FRAME, FRAME), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _fit_affine(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Return the (2, 3) affine map with the least squared error."""
    return np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), onto, rcond=None)[0].T


def _fit_similarity(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Return the (2, 3) rotation, scale and shift with the least squared error; points are complex numbers here."""
    a, b = points[:, 0] + 1j * points[:, 1], onto[:, 0] + 1j * onto[:, 1]
    spread = a - a.mean()
    turn = np.vdot(spread, b) / np.vdot(spread, spread).real
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _squeeze(method: Method, image: Image, scale: float) -> Image:
    """Resynthesise an image as a network would: at low resolution, with a chequered upsampling trace."""
    height, width = image.shape[:2]
    small = max(4, int(width * scale)), max(4, int(height * scale))
    low = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    if method.fingerprint:
        low += method.fingerprint * _CHEQUERS[: small[1], : small[0]] * (0.5 + low)
    upsampler = cv2.INTER_CUBIC if method.upsampler == "cubic" else cv2.INTER_LINEAR
    return np.clip(cv2.resize(low, (width, height), interpolation=upsampler), 0, 1)


def _match_colours(face: Image, target: Image, mask: Image, strength: float) -> Image:
    """Move the mean and spread of each channel under the mask towards the target's, by `strength` 0..1."""
    under = (mask > 0.5).astype(np.uint8)
    if not strength or under.sum() < 20:
        return face
    (mean, spread), (wanted_mean, wanted_spread) = (cv2.meanStdDev(image, mask=under) for image in (face, target))
    gain = np.clip((wanted_spread + 1e-3) / (spread + 1e-3), 0.6, 1.6)[:, 0]
    shift = wanted_mean[:, 0] - mean[:, 0] * gain
    matched = face * (1 - strength + strength * gain).astype(np.float32) + (strength * shift).astype(np.float32)
    return np.clip(matched, 0, 1)


def _pull_towards_nose(landmarks: np.ndarray, points: np.ndarray, by: float) -> np.ndarray:
    return points * (1 - by) + landmarks[NOSE_TIP] * by


def _mouth(landmarks: np.ndarray) -> np.ndarray:
    """Lips, chin and the base of the nose."""
    return np.vstack([landmarks[LIPS], landmarks[[4, 6, 8, 10, 12]], landmarks[31:36]])


def _face(landmarks: np.ndarray) -> np.ndarray:
    """From the brows to the jaw."""
    return landmarks[:27]


def _inner(landmarks: np.ndarray) -> np.ndarray:
    """From the brows to just within the cheeks and the chin."""
    cheeks = _pull_towards_nose(landmarks, landmarks[[2, 3, 4, 5, 11, 12, 13, 14]], 0.2)
    return np.vstack([landmarks[17:27], cheeks, _pull_towards_nose(landmarks, landmarks[6:11], 0.12)])


def _oval(landmarks: np.ndarray) -> np.ndarray:
    """Half the forehead, and down to just within the jaw."""
    brows, hairline = landmarks[[17, 19, 21, 22, 24, 26]], landmarks[[68, 70, 73, 75, 78, 80]]
    return np.vstack([(brows + hairline) / 2, _pull_towards_nose(landmarks, landmarks[JAW], 0.12)])


def _head(landmarks: np.ndarray) -> np.ndarray:
    """From the hairline to the jaw."""
    return np.vstack([landmarks[JAW], landmarks[FOREHEAD]])


def _box(landmarks: np.ndarray) -> np.ndarray:
    """The rectangle around brows, eyes, nose and mouth."""
    low, high = landmarks[17:60].min(0), landmarks[17:60].max(0)
    (x0, y0), (x1, y1) = low - 0.08 * (high - low), high + 0.08 * (high - low)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


REGIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mouth": _mouth,
    "face": _face,
    "inner": _inner,
    "oval": _oval,
    "head": _head,
    "box": _box,
}
