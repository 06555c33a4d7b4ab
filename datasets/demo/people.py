"""The people: invented, with face shapes and colours, and arrays from which their heads are rendered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .face_grid import (
    PIXELS,
    SIZE,
    Image,
    X,
    Y,
    make_bump,
    make_fractal_noise,
    make_mirrored_bumps,
    make_rng,
    smoothstep,
    to_fixed_point,
    to_pixels,
)

GENDERS = ("male", "female")
RACES = ("white", "asian", "others", "black")
# The labels are those of the public annotation tables; here they mean a rendered skin tone, not people.
SKIN = {"white": (226, 186, 164), "asian": (204, 160, 124), "others": (156, 108, 78), "black": (98, 66, 50)}
HAIR = np.array([(28, 22, 20), (62, 42, 28), (120, 84, 48), (168, 132, 84), (110, 108, 106)], np.float32)
IRIS = np.array([(70, 45, 28), (60, 90, 120), (80, 100, 70), (45, 32, 24)], np.float32)
OUTLINE_POWER = 2.4  # exponent of the super-ellipse of the head's outline; 2 is an ellipse

# mean, standard deviation (drawn within two of them), added for male, added for female; face units
FEATURES: dict[str, tuple[float, float, float, float]] = {
    "half_width": (0.76, 0.035, 0.02, 0.0),
    "chin": (1.0, 0.045, 0.0, 0.0),
    "crown": (1.16, 0.04, 0.0, 0.0),
    "taper": (0.34, 0.07, -0.07, 0.0),
    "eye_x": (0.315, 0.022, 0.0, 0.0),
    "eye_y": (-0.12, 0.025, 0.0, 0.0),
    "eye_width": (0.150, 0.014, 0.0, 0.0),
    "eye_height": (0.058, 0.009, 0.0, 0.006),
    "eye_tilt": (0.0, 0.022, 0.0, 0.0),
    "brow_rise": (0.165, 0.02, 0.0, 0.0),
    "brow_thickness": (0.030, 0.006, 0.014, 0.0),
    "brow_tilt": (0.0, 0.025, 0.0, 0.0),
    "brow_width": (0.20, 0.018, 0.0, 0.0),
    "nose_length": (0.30, 0.03, 0.0, 0.0),
    "nose_width": (0.125, 0.018, 0.0, 0.0),
    "nose_depth": (0.26, 0.04, 0.0, 0.0),
    "mouth_y": (0.50, 0.03, 0.0, 0.0),
    "mouth_width": (0.245, 0.025, 0.0, 0.0),
    "upper_lip": (0.040, 0.009, 0.0, 0.006),
    "lower_lip": (0.058, 0.011, 0.0, 0.008),
    "hairline": (-0.66, 0.07, 0.0, 0.0),
    "hairline_curve": (0.22, 0.10, 0.0, 0.0),
}


@dataclass(frozen=True)
class Person:
    """An invented person: `name` and `seed` fix every detail of the look, `gender` and `race` the presets it uses.

    `number` counts the people in a dataset's split.
    """

    name: str
    gender: str
    race: str
    seed: int = 0
    number: int = 0


@dataclass(frozen=True)
class Shape:
    """The proportions of a face in face units; see FEATURES."""

    half_width: float
    chin: float
    crown: float
    taper: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    brow_rise: float
    brow_thickness: float
    brow_tilt: float
    brow_width: float
    nose_length: float
    nose_width: float
    nose_depth: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    hairline: float
    hairline_curve: float

    def outline_half_width(self, y: np.ndarray) -> np.ndarray:
        """Return the half width of the face at height y: it tapers towards the chin."""
        return self.half_width * (1 - self.taper * smoothstep(0.05, 1.08, y / self.chin))


@dataclass(frozen=True)
class Colours:
    """RGB colours, 0..255."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    cloth: np.ndarray


@dataclass(frozen=True, eq=False)
class Head:
    """A person ready to be rendered; arrays are (SIZE, SIZE[, 3]) on the canvas.

    `relief` is the height z of the face, `alpha` 1 inside the outline, `albedo` uint8 RGB without eyes, brows,
    nostrils and mouth, which are painted for each expression. `window` is the part of the canvas that the head
    covers; `normals` are the relief's unit normals there.
    """

    shape: Shape
    colours: Colours
    long_hair: bool
    hair_volume: float
    relief: Image
    normals: Image
    alpha: Image
    albedo: np.ndarray
    window: tuple[slice, slice]


@lru_cache(maxsize=32)
def build_head(person: Person) -> Head:
    """Build a person's head: about 15 ms."""
    rng = make_rng(person.seed, "person", person.name)
    shape, colours = _draw_shape(rng, person.gender), _draw_colours(rng, person)
    long_hair = person.gender == "female" or rng.random() < 0.08
    volume = float(rng.uniform(0.74, 0.90))
    inside = _compute_inside(shape)
    relief = _build_relief(shape, inside)
    skin = _paint_skin(shape, colours, rng, person)
    albedo = _add_hair(skin, shape, colours, rng, long_hair)
    alpha = np.clip(inside / 0.06, 0, 1).astype(np.float32)
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    window = slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1)  # one more pixel for blending
    normals = np.ascontiguousarray(_compute_normals(relief)[window])
    return Head(shape, colours, long_hair, volume, relief, normals, alpha, albedo, window)


def _draw_normal(rng: np.random.Generator, deviation: float) -> float:
    return float(np.clip(rng.standard_normal(), -2, 2) * deviation)


def _draw_shape(rng: np.random.Generator, gender: str) -> Shape:
    def draw(mean: float, deviation: float, male: float, female: float) -> float:
        return mean + (male if gender == "male" else female) + _draw_normal(rng, deviation)

    return Shape(**{name: draw(*row) for name, row in FEATURES.items()})


def _draw_colours(rng: np.random.Generator, person: Person) -> Colours:
    white, female = person.race == "white", person.gender == "female"
    hair = HAIR[rng.choice(5, p=[0.36, 0.28, 0.16, 0.1, 0.1] if white else [0.72, 0.2, 0.03, 0.0, 0.05])]
    iris = IRIS[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1] if white else [0.5, 0.0, 0.0, 0.5])]
    cast = np.array([1 + _draw_normal(rng, 0.02), 1, 1 + _draw_normal(rng, 0.03)])
    skin = np.array(SKIN[person.race]) * (1 + _draw_normal(rng, 0.055)) * cast
    lip = skin * np.array([0.93, 0.62, 0.62] if female else [0.86, 0.70, 0.68]) * (1 + _draw_normal(rng, 0.06))
    cloth = rng.uniform(40, 190) * (1 + 0.35 * rng.uniform(-1, 1, 3))
    return Colours(skin, hair * (1 + _draw_normal(rng, 0.12)), iris, lip, cloth)


def _compute_inside(shape: Shape) -> Image:
    """Return 1 at the middle of the face, 0 on its outline, negative outside."""
    height = np.where(Y > 0, shape.chin, shape.crown)
    across = np.abs(X / shape.outline_half_width(Y)) ** OUTLINE_POWER
    return (1 - across - np.abs(Y / height) ** OUTLINE_POWER).astype(np.float32)


def _build_relief(shape: Shape, inside: Image) -> Image:
    """Raise nose, brows, lips, cheeks and chin from a dome, and sink the eye sockets."""
    tip = shape.eye_y + shape.nose_length
    z = 0.60 * np.sqrt(np.maximum(inside, 0) + 0.015)
    ridge = np.exp(-((X / (0.055 + 0.05 * np.clip((Y - shape.eye_y) / shape.nose_length, 0, 1.2))) ** 2))
    ridge *= smoothstep(shape.eye_y - 0.15, tip, Y) * smoothstep(tip + 0.12, tip + 0.02, Y)
    z += 0.55 * shape.nose_depth * ridge
    z += 0.50 * shape.nose_depth * make_bump(0, tip - 0.02, shape.nose_width, 0.09)
    z += 0.045 * make_mirrored_bumps(shape.eye_x, shape.eye_y - shape.brow_rise, 0.2, 0.06)
    z -= 0.060 * make_mirrored_bumps(shape.eye_x, shape.eye_y, 0.15, 0.08)
    z += 0.050 * make_bump(0, shape.mouth_y, shape.mouth_width, 0.09)
    z += 0.050 * make_bump(0, shape.chin * 0.86, 0.16, 0.09)
    z += 0.035 * make_mirrored_bumps(0.42, 0.22, 0.16, 0.16)
    return cv2.GaussianBlur(z.astype(np.float32), (0, 0), 1.2)


def _compute_normals(relief: Image) -> Image:
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=PIXELS / 8)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=PIXELS / 8)
    normals = np.dstack([-slope_x, -slope_y, np.ones_like(relief)])
    return (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)


def _paint_skin(shape: Shape, colours: Colours, rng: np.random.Generator, person: Person) -> Image:
    """Colour the skin: blotches, pores, red cheeks and nose, shadows around the eyes, freckles, a beard's shadow."""
    blotches, pores = make_fractal_noise(rng, SIZE, 3, 3), make_fractal_noise(rng, SIZE, 26, 4, 0.8)
    skin = (1 + 0.035 * blotches + 0.022 * pores)[..., None] * colours.skin.astype(np.float32)
    tip = shape.eye_y + shape.nose_length
    flush = 0.5 * make_mirrored_bumps(0.42, 0.2, 0.2, 0.16) + 0.4 * make_bump(0, tip, 0.14, 0.12)
    skin *= 1 + flush[..., None] * np.array([0.04, -0.05, -0.04], np.float32)
    under_eyes, folds = (
        make_mirrored_bumps(shape.eye_x, shape.eye_y + 0.1, 0.15, 0.06),
        make_mirrored_bumps(0.22, 0.36, 0.05, 0.1),
    )
    skin *= (1 - 0.16 * under_eyes - 0.10 * folds)[..., None]
    skin *= (1 - _draw_freckles(rng, 26 if person.race in ("white", "asian") else 8))[..., None]
    if person.gender == "male" and rng.random() < 0.55:
        lips = make_bump(0, shape.mouth_y, shape.mouth_width * 0.9, 0.07)
        beard = smoothstep(0.22, 0.5, Y + 0.25 * np.abs(X)) * (1 - lips)
        skin *= (1 - rng.uniform(0.1, 0.42) * beard * np.clip(1 + 0.15 * pores, 0.4, 1.5))[..., None]
    return skin.astype(np.float32)


def _draw_freckles(rng: np.random.Generator, most: int) -> Image:
    """Return how much darker each point is for freckles and moles, 0..1."""
    spots = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(int(rng.integers(0, most))):
        centre = to_fixed_point(to_pixels(rng.uniform((-0.55, -0.55), (0.55, 0.8))))
        radius = int(rng.uniform(0.010, 0.022) * PIXELS * 2**4)
        cv2.circle(spots, tuple(map(int, centre)), radius, float(rng.uniform(0.15, 0.5)), -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(spots, (0, 0), 0.7)


def _add_hair(skin: Image, shape: Shape, colours: Colours, rng: np.random.Generator, long_hair: bool) -> np.ndarray:
    """Lay streaked hair over the top of the head (and down its sides, if it is long); returns the uint8 albedo."""
    fringe = 0.03 * make_fractal_noise(rng, SIZE, 7, 3)
    line = shape.hairline + shape.hairline_curve * np.abs(X / shape.half_width) ** 2.6 + fringe
    covered = smoothstep(0.03, -0.03, Y - line)
    if long_hair:
        edge = shape.half_width * (0.93 - 0.10 * smoothstep(0, -0.6, Y)) + 0.5 * fringe
        covered = np.maximum(covered, smoothstep(0.0, 0.05, np.abs(X) - edge))
    streaks = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE), dtype=np.float32), (0, 0), sigmaX=0.8, sigmaY=7)
    hair = colours.hair.astype(np.float32) * (1 + streaks[..., None])
    mix = covered[..., None]
    return np.clip(skin * (1 - mix) + hair * mix, 0, 255).astype(np.uint8)
