"""Render a head: light the painted canvas, warp it over its relief in a pose, and place it on a background.

The pose is inverse relief mapping: for each pixel of the frame, find the canvas point that projects there, by a damped
fixed-point iteration on a coarse grid.
"""

from __future__ import annotations

import cv2
import numpy as np

from .camera import Light
from .face_grid import FIXED_POINT_BITS, SIZE, Image, to_colour_tuple, to_fixed_point, to_pixels
from .landmarks import DEPTH, compute_jaw_drop, make_rotation_matrix, project
from .motion import FRAME, Moment
from .paint import paint_features
from .people import Head

COARSE = 3  # the pose is solved at every third pixel
ITERATIONS = 5


def render(head: Head, moment: Moment, light: Light, background: np.ndarray) -> Image:
    """Return the (FRAME, FRAME, 3) float32 RGB image, 0..1, of a head on a uint8 background."""
    behind = background.copy()
    _draw_behind(behind, head, moment, light)
    image = behind.astype(np.float32) / np.float32(255)
    x0, y0, x1, y1 = _find_window(moment)
    face = cv2.remap(
        _shade_head(head, moment, light), *_compute_lookup(head, moment, (x0, y0, x1, y1)), cv2.INTER_LINEAR
    )
    part, alpha = image[y0:y1, x0:x1], face[..., 3:]
    part += alpha * (face[..., :3] - part)
    return image


def _find_window(moment: Moment) -> tuple[int, int, int, int]:
    """Return the part x0, y0, x1, y1 of the frame that a face can cover, in pixels."""
    wide, high = 1.25 * moment.scale, 1.38 * moment.scale
    low = max(0, int(moment.x - wide)), max(0, int(moment.y - high))
    return *low, min(FRAME, int(moment.x + wide)), min(FRAME, int(moment.y + high))


def _shade_head(head: Head, moment: Moment, light: Light) -> Image:
    """Return the lit canvas, (SIZE, SIZE, 4) RGB and alpha, 0..1: Lambert's diffuse and Blinn's specular light."""
    back = make_rotation_matrix(moment).T
    to_light, to_viewer = back @ light.direction, back @ np.array([0.0, 0.0, 1.0])
    half = (to_light + to_viewer) / np.linalg.norm(to_light + to_viewer)
    facing = head.normals.reshape(-1, 3) @ np.stack([to_light, half], 1).astype(np.float32)
    diffuse, specular = np.maximum(facing, 0).reshape(*head.normals.shape[:2], 2).transpose(2, 0, 1)
    shade = np.float32(light.ambient) + np.float32(light.diffuse) * diffuse
    shine = np.square(np.square(np.square(specular)))  # to the 24th power, cheaply
    shine = np.float32(light.specular) * shine * shine * shine
    lit = np.zeros((SIZE, SIZE, 4), np.float32)
    albedo, face = paint_features(head, moment.expression, moment.gaze), lit[head.window]
    np.multiply(albedo[head.window], (light.colour / 255).astype(np.float32), out=face[..., :3])
    face[..., :3] *= shade[..., None]
    face[..., :3] += shine[..., None]
    face[..., 3] = head.alpha[head.window]
    return lit


def _compute_lookup(head: Head, moment: Moment, window: tuple[int, int, int, int]) -> tuple[Image, Image]:
    """Return, for each pixel of the window, the canvas pixel (x, y) visible there."""
    x0, y0, x1, y1 = window
    u = (np.arange(x0, x1 + COARSE, COARSE, dtype=np.float32) - np.float32(moment.x)) / np.float32(moment.scale)
    v = (np.arange(y0, y1 + COARSE, COARSE, dtype=np.float32) - np.float32(moment.y)) / np.float32(moment.scale)
    grid_u, grid_v = np.meshgrid(u, v)
    x, y = _solve(head.relief, grid_u, grid_v, make_rotation_matrix(moment).astype(np.float32))
    y = y - compute_jaw_drop(moment.expression, y).astype(np.float32)
    finer = np.array([[1 / COARSE, 0, 0], [0, 1 / COARSE, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (x1 - x0, y1 - y0)
    maps = [cv2.warpAffine(to_pixels(m), finer, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) for m in (x, y)]
    return maps[0], maps[1]


def _solve(relief: Image, u: Image, v: Image, turn: Image) -> tuple[Image, Image]:
    """Find the canvas points (x, y), in face units, that the pose `turn` projects to (u, v)."""
    inverse = np.linalg.inv(turn[:2, :2])
    z = np.full_like(u, 0.45)
    for _ in range(ITERATIONS):
        p, q = u - turn[0, 2] * (z - DEPTH), v - turn[1, 2] * (z - DEPTH)
        x, y = inverse[0, 0] * p + inverse[0, 1] * q, inverse[1, 0] * p + inverse[1, 1] * q
        seen = cv2.remap(relief, to_pixels(x), to_pixels(y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        z = 0.5 * (z + seen)
    return x, y


class _Brush:
    """Draws flat shapes on a uint8 image at the head's place, coloured according to the light."""

    def __init__(self, image: np.ndarray, moment: Moment, light: Light) -> None:
        self.image, self.moment = image, moment
        self.light = light.colour * (light.ambient + 0.55 * light.diffuse)

    def colour(self, colour: np.ndarray, strength: float) -> tuple[float, ...]:
        return to_colour_tuple(np.clip(colour * self.light * strength, 0, 255))

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """Return the pixel where a point of the turning head is seen."""
        return project(self.moment, np.array([[x, y]]), z)[0]

    def body_at(self, x: float, y: float) -> np.ndarray:
        """Return the pixel of a point of the body, which doesn't turn."""
        return np.array([self.moment.x + x * self.moment.scale, self.moment.y + y * self.moment.scale])

    def ellipse(
        self,
        centre: np.ndarray,
        radii: tuple[float, float],
        colour: tuple[float, ...],
        angle: float = 0.0,
        arc: tuple[float, float] = (0, 360),
        thickness: int = -1,
    ) -> None:
        x, y = map(int, to_fixed_point(centre))
        width, height = (int(r * self.moment.scale * 2**FIXED_POINT_BITS) for r in radii)
        cv2.ellipse(self.image, (x, y), (width, height), angle, *arc, colour, thickness, cv2.LINE_AA, FIXED_POINT_BITS)

    def polygon(self, points: list[np.ndarray], colour: tuple[float, ...]) -> None:
        cv2.fillPoly(self.image, [to_fixed_point(np.array(points))], colour, cv2.LINE_AA, FIXED_POINT_BITS)


def _draw_behind(image: np.ndarray, head: Head, moment: Moment, light: Light) -> None:
    """Draw what isn't in the relief: shoulders, hair behind the head, neck, ears."""
    brush, tilt = _Brush(image, moment, light), float(np.degrees(moment.roll))
    wide, colours = head.shape.half_width, head.colours
    _draw_shoulders(brush, colours.cloth)
    if head.long_hair:
        _draw_long_hair(brush, head, tilt)
    _draw_neck(brush, head)
    if not head.long_hair:
        for side in (-1, 1):
            ear = brush.at(side * wide, 0.02, 0.05)
            brush.ellipse(ear, (0.10, 0.2), brush.colour(colours.skin, 0.78), tilt - 8 * side)
            brush.ellipse(ear, (0.05, 0.12), brush.colour(colours.skin, 0.6), tilt - 8 * side)
        hair = brush.colour(colours.hair, 0.8)
        brush.ellipse(brush.at(0, -0.42, 0), (wide * 1.03, head.hair_volume), hair, tilt, (180, 360))


def _draw_shoulders(brush: _Brush, cloth: np.ndarray) -> None:
    brush.ellipse(brush.body_at(0, 2.25), (1.75, 1.0), brush.colour(cloth, 0.9))
    brush.ellipse(brush.body_at(0, 1.42), (0.66, 0.26), brush.colour(cloth, 0.7))


def _draw_long_hair(brush: _Brush, head: Head, tilt: float) -> None:
    """Draw an oval of hair with some darker and lighter strands."""
    centre, wide = brush.at(0, 0.12, -0.25), head.shape.half_width
    brush.ellipse(centre, (wide * 1.28, 1.30), brush.colour(head.colours.hair, 0.7), tilt)
    for k in range(6):
        radii = (wide * (1.02 + 0.045 * k), 1.04 + 0.045 * k)
        shade = brush.colour(head.colours.hair, 0.85 if k % 2 else 0.6)
        brush.ellipse(centre, radii, shade, tilt, (150, 390), thickness=1)


def _draw_neck(brush: _Brush, head: Head) -> None:
    skin = head.colours.skin
    top = [brush.at(-0.40, 0.6, -0.1), brush.at(0.40, 0.6, -0.1)]
    brush.polygon([*top, brush.body_at(0.5, 1.42), brush.body_at(-0.5, 1.42)], brush.colour(skin, 0.66))
    brush.ellipse(brush.body_at(0, 1.42), (0.5, 0.17), brush.colour(skin, 0.66))
    middle = brush.at(0, head.shape.chin * 0.93, -0.1)
    brush.ellipse(middle, (0.40, 0.18), brush.colour(skin, 0.52))  # the chin's shadow
