"""How things are placed: lanes, paths and places that keep apart and inside the picture.

Functions that draw at random return None if a draw failed; the caller draws a new scene then.
"""

from __future__ import annotations

import random

from ttom.emojiworld.facts import Direction, Side, Subject
from ttom.emojiworld.scene import HEIGHT, WIDTH, Point, Thing


def is_horizontal(direction: str) -> bool:
    """Whether a direction or a side is along x."""
    return direction in ("left", "right")


def size_of(rng: random.Random, subject: Subject, low: float, high: float) -> float:
    """The side of a sprite: between low and high unless the subject is big or small."""
    if subject.size == "big":
        return rng.uniform(31, 37)
    if subject.size == "small":
        return rng.uniform(13, 17)
    return rng.uniform(low, high)


def path(rng: random.Random, direction: Direction, size: float, lane: float | None = None) -> tuple[Point, Point]:
    """Start and end of a mover across the picture; `lane` fixes the coordinate across the direction."""
    half = size / 2
    if is_horizontal(direction):
        near, far = rng.uniform(half, half + 14), rng.uniform(WIDTH - half - 14, WIDTH - half)
        across = lane if lane is not None else rng.uniform(half, HEIGHT - half)
        start, end = (near, across), (far, across)
        return (start, end) if direction == "right" else (end, start)
    near, far = rng.uniform(half, half + 5), rng.uniform(HEIGHT - half - 5, HEIGHT - half)
    across = lane if lane is not None else rng.uniform(half, WIDTH - half)
    start, end = (across, near), (across, far)
    return (start, end) if direction == "down" else (end, start)


def still(noun: int, center: Point, size: float, subject: int = 0) -> Thing:
    """A thing that stays."""
    return Thing(noun, (center,), size, subject=subject)


def beside(rng: random.Random, side: Side, size_a: float, size_b: float) -> tuple[Point, Point] | None:
    """Centers of A and B with A on that side of B, apart and inside the picture."""
    horizontal = is_horizontal(side)
    extent, other = (WIDTH, HEIGHT) if horizontal else (HEIGHT, WIDTH)
    gap = rng.uniform(1, 12 if horizontal else 6)
    distance = (size_a + size_b) / 2 + gap
    low, high = size_a / 2, extent - size_b / 2 - distance
    if high < low:
        return None
    a = rng.uniform(low, high)
    b = a + distance
    across_a = rng.uniform(size_a / 2, other - size_a / 2)
    across_b = across_a + rng.uniform(-0.35, 0.35) * distance
    if not size_b / 2 <= across_b <= other - size_b / 2:
        return None
    if side in ("right", "below"):
        a, b = extent - a, extent - b
    return ((a, across_a), (b, across_b)) if horizontal else ((across_a, a), (across_b, b))


def scatter(
    rng: random.Random, sizes: list[float], taken: tuple[float, float, float, float] | None = None
) -> list[Point] | None:
    """Centers of still things that do not overlap, nor reach into the box `taken` (x0 y0 x1 y1)."""
    centers: list[Point] = []
    for i, size in enumerate(sizes):
        for _ in range(60):
            x, y = rng.uniform(size / 2, WIDTH - size / 2), rng.uniform(size / 2, HEIGHT - size / 2)
            if taken is not None and _reaches(x, y, size / 2, taken):
                continue
            room = [(abs(x - cx), abs(y - cy), (size + sizes[j]) / 2) for j, (cx, cy) in enumerate(centers)]
            if all(dx >= need or dy >= need for dx, dy, need in room):
                centers.append((x, y))
                break
        if len(centers) <= i:
            return None
    return centers


def _reaches(x: float, y: float, half: float, box: tuple[float, float, float, float]) -> bool:
    x0, y0, x1, y1 = box
    return x + half > x0 and x - half < x1 and y + half > y0 and y - half < y1


_COLUMNS: dict[int, list[tuple[int, ...]]] = {2: [(1, 1), (2,)], 3: [(1, 1, 1), (2, 1), (1, 2)], 4: [(2, 2)]}
_ROWS: dict[int, list[tuple[int, ...]]] = {2: [(2,), (1, 1)], 3: [(3,), (2, 1), (1, 2)], 4: [(2, 2), (4,)]}
"""How many of a group stand in each row, for groups that move across and up or down the picture."""


def formation(rng: random.Random, count: int, size: float, direction: Direction | None = None) -> list[Point]:
    """Offsets from the middle of a group that keeps together; it is compact along the direction of its motion."""
    table = _COLUMNS if direction is None or is_horizontal(direction) else _ROWS
    chosen, step = rng.choice(table[count]), size * rng.uniform(1.02, 1.15)
    offsets = []
    for r, many in enumerate(chosen):
        for c in range(many):
            offsets.append(((c - (many - 1) / 2) * step, (r - (len(chosen) - 1) / 2) * step))
    return offsets


def group_path(
    rng: random.Random, direction: Direction, offsets: list[Point], size: float, least: tuple[float, float] = (24, 14)
) -> tuple[Point, Point] | None:
    """Start and end of the middle of a group; it moves at least so many pixels in x or y."""
    (x0, x1), (y0, y1) = (
        (min(o[i] for o in offsets) - size / 2, max(o[i] for o in offsets) + size / 2) for i in (0, 1)
    )
    horizontal = is_horizontal(direction)
    low, high = (-x0, WIDTH - x1) if horizontal else (-y0, HEIGHT - y1)
    other_low, other_high = (-y0, HEIGHT - y1) if horizontal else (-x0, WIDTH - x1)
    if high - low < least[0 if horizontal else 1] or other_high < other_low:
        return None
    slack = min(8.0, (high - low - least[0 if horizontal else 1]) / 2)
    near, far = rng.uniform(low, low + slack), rng.uniform(high - slack, high)
    across = rng.uniform(other_low, other_high)
    start, end = ((near, across), (far, across)) if horizontal else ((across, near), (across, far))
    return (start, end) if direction in ("right", "down") else (end, start)
