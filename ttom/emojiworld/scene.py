"""What a scene is: things with paths, colors and times, over a background. Pixels: x to the right, y down."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ttom.emojiworld.facts import Facts
from ttom.emojiworld.nouns import extents

FRAMES, HEIGHT, WIDTH = 17, 64, 96
SLOTS = 8
"""Most things in a scene."""
VERTICES = 6
"""Most vertices of a path."""
Point = tuple[float, float]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """One object.

    Attributes:
        noun: Index in NOUNS.
        path: Centers in pixels that it passes in straight lines and at one speed; one center if it stays.
        size: Side of the sprite in pixels.
        color: Color word of its tint, or None.
        moving: First and last time at which it moves, as shares of the video.
        visible: First and last time at which it is drawn.
        subject: Index in Facts.subjects.
    """

    noun: int
    path: tuple[Point, ...]
    size: float
    color: str | None = None
    moving: tuple[float, float] = (0.0, 1.0)
    visible: tuple[float, float] = (0.0, 1.0)
    subject: int = 0

    def vertex_times(self) -> list[float]:
        """The time at each vertex of the path, ascending."""
        lengths = [float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in pairwise(self.path)]
        total, (first, last) = sum(lengths), self.moving
        if not total:
            return [first] * len(self.path)
        return [first + (last - first) * float(done) / total for done in np.cumsum([0.0, *lengths])]

    def center_at(self, time: float) -> Point:
        """The center at a time in 0..1."""
        x, y = zip(*self.path, strict=True)
        times = self.vertex_times()
        return float(np.interp(time, times, x)), float(np.interp(time, times, y))

    def box_at(self, time: float) -> tuple[float, float, float, float]:
        """The tight box x0 y0 x1 y1 in pixels, not clipped to the picture."""
        (x, y), (width, height) = self.center_at(time), extents()[self.noun] * self.size / 2
        return x - float(width), y - float(height), x + float(width), y + float(height)

    def shown_at(self, time: float) -> float:
        """The share of the box that lies in the picture; 0 while it is not visible."""
        if not self.visible[0] <= time <= self.visible[1]:
            return 0.0
        x0, y0, x1, y1 = self.box_at(time)
        width, height = min(x1, WIDTH) - max(x0, 0), min(y1, HEIGHT) - max(y0, 0)
        return max(width, 0.0) * max(height, 0.0) / ((x1 - x0) * (y1 - y0))


@dataclass
class Scene:
    """A scene and the facts that a caption may state.

    Attributes:
        kind: Name of the kind, see kinds.py and compose.py.
        things: Objects, drawn in this order.
        background: Two RGB colors in 0..1 and the gradient's angle in radians.
        scenery: Key of words.SCENERY that the background shows, or None.
    """

    kind: str
    things: list[Thing]
    facts: Facts = field(default_factory=Facts)
    background: tuple[Color, Color, float] = ((0.5,) * 3, (0.5,) * 3, 0.0)
    scenery: str | None = None
