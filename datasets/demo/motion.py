"""How a face moves: smooth random tracks of pose, expression and gaze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FRAME = 192  # width and height of every frame, pixels
TAU = 2 * np.pi


class Expression(NamedTuple):
    """Mouth opening 0..1, smile -0.6..1.2, eyes closed 0..1, brows -0.5..0.5 (raised)."""

    open: float
    smile: float
    blink: float
    brow: float


class Moment(NamedTuple):
    """What changes from frame to frame: angles in radians, position in pixels, scale in pixels per face unit."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    scale: float
    expression: Expression
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Sway:
    """A number that wanders with time: an offset, and a slow and a fast sine of (size, frequency in Hz, phase)."""

    offset: float
    slow: tuple[float, float, float]
    fast: tuple[float, float, float]
    limit: float

    def at(self, t: float) -> float:
        """Return the value at `t` seconds, within +-limit."""
        waves = sum(size * np.sin(TAU * rate * t + phase) for size, rate, phase in (self.slow, self.fast))
        return float(np.clip(self.offset + waves, -self.limit, self.limit))


def draw_sway(rng: np.random.Generator, size: float, limit: float) -> Sway:
    """Draw a wandering number of typical size `size`."""
    slow = (size * 0.6 * abs(rng.normal()), rng.uniform(0.15, 0.9), rng.uniform(0, TAU))
    fast = (size * 0.125, rng.uniform(1, 2.2), rng.uniform(0, TAU))
    return Sway(rng.normal() * size * 0.5, slow, fast, limit)


class Place(NamedTuple):
    """Where somebody stands: the face's centre relative to the frame, and its size, 0..1."""

    x: float = 0.5
    y: float = 0.5
    size: float = 1.0

    def mirror(self) -> Place:
        """Return the place on the other side."""
        return self._replace(x=1 - self.x)


ALONE, FRONT, BACK = Place(), Place(0.34, 0.52, 0.80), Place(0.77, 0.45, 0.62)


class MotionTrack:
    """The motion of one take: a smooth function of time.

    `liveliness` scales the angles of the head. They stay within .45 (yaw) and .25 rad (pitch, roll), since
    self-occlusion isn't modelled.
    """

    def __init__(self, rng: np.random.Generator, liveliness: float = 1.0, place: Place = ALONE) -> None:
        self.place = place
        self.yaw, self.pitch = draw_sway(rng, 0.26 * liveliness, 0.45), draw_sway(rng, 0.12 * liveliness, 0.25)
        self.roll = draw_sway(rng, 0.09 * liveliness, 0.25)
        self.x, self.y, self.zoom = draw_sway(rng, 0.03, 0.08), draw_sway(rng, 0.03, 0.06), draw_sway(rng, 0.03, 0.08)
        self.gaze = draw_sway(rng, 0.6, 1.0), draw_sway(rng, 0.4, 1.0)
        self.scale = rng.uniform(0.265, 0.32) * FRAME * place.size
        self.phases = rng.uniform(0, TAU, 4)
        self.syllables, self.talk = rng.uniform(2.2, 4.5), rng.uniform(0.1, 0.9)
        self.smile = float(np.clip(rng.normal() * 0.5, -0.4, 1))
        self.blink_at = rng.uniform(0, 2)

    def at(self, t: float) -> Moment:
        """Return where the head is and what it does at `t` seconds."""
        x, y = FRAME * (self.place.x + self.x.at(t)), FRAME * (self.place.y + self.y.at(t))
        angles = self.yaw.at(t), self.pitch.at(t), self.roll.at(t)
        gaze = self.gaze[0].at(t), self.gaze[1].at(t)
        return Moment(*angles, x, y, self.scale * (1 + self.zoom.at(t)), self._expression(t), gaze)

    def _expression(self, t: float) -> Expression:
        beat = TAU * self.syllables * t
        speech = 0.6 * np.sin(beat + self.phases[0]) + 0.4 * np.sin(1.7 * beat + self.phases[1])
        return Expression(
            open=float(self.talk * max(0.0, speech)),
            smile=float(self.smile + 0.2 * np.sin(2 * t + self.phases[2])),
            blink=1.0 if (t + self.blink_at) % 2.1 < 0.10 else 0.0,
            brow=float(0.5 * np.sin(1.5 * t + self.phases[3])),
        )
