"""Facts read off a video by the detector: presence, counts, direction, relation. Pure functions over detections.

`frames` is a list over picture frames of lists of Detection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttom.emojiworld.detector import Detection

Frames = Sequence[Sequence[Detection]]
Box = tuple[float, float, float, float]


def of_noun(frames: Frames, noun: int) -> list[list[Detection]]:
    return [[d for d in frame if d.noun == noun] for frame in frames]


def presence(frames: Frames, noun: int) -> bool:
    """The noun is detected in at least half of the frames."""
    return sum(bool(found) for found in of_noun(frames, noun)) >= len(frames) / 2


def count_exact(frames: Frames, counts: Sequence[tuple[int, int]]) -> bool:
    """In the median over frames, every noun's number is exact."""
    return all(np.median([len(found) for found in of_noun(frames, noun)]) == number for noun, number in counts)


def _centres(frames: Frames, noun: int) -> list[tuple[int, float, float]]:
    """Frame index and centre of the noun's most probable detection, where there is one."""
    rows = []
    for i, found in enumerate(of_noun(frames, noun)):
        if found:
            x0, y0, x1, y1 = max(found, key=lambda d: d.score).box
            rows.append((i, (x0 + x1) / 2, (y0 + y1) / 2))
    return rows


def displacement(frames: Frames, noun: int) -> tuple[float, float] | None:
    """Net move of the noun's centre, as shares of width and height, from the first two to the last two frames with it.

    None if it is seen in fewer than half of the frames.
    """
    rows = _centres(frames, noun)
    if len(rows) < len(frames) / 2:
        return None
    first, last = np.mean(rows[:2], 0), np.mean(rows[-2:], 0)
    return float(last[1] - first[1]), float(last[2] - first[2])


def direction(frames: Frames, noun: int, least: float = 0.1) -> str | None:
    """Left, right, up or down, by the larger share; None if absent or if it moved less than `least` of the side."""
    moved = displacement(frames, noun)
    if moved is None or max(map(abs, moved)) < least:
        return None
    dx, dy = moved
    if abs(dx) >= abs(dy):
        return "left" if dx < 0 else "right"
    return "up" if dy < 0 else "down"


def relation_share(frames: Frames, first: int, second: int, relation: str) -> float:
    """Share of frames where some first lies `relation` some second, by the dominant axis of the centre difference."""
    return float(np.mean([_related(frame, first, second, relation) for frame in frames]))


def _related(frame: Sequence[Detection], first: int, second: int, relation: str) -> bool:
    for a in (d.box for d in frame if d.noun == first):
        for b in (d.box for d in frame if d.noun == second):
            dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
            across = "left" if dx < 0 else "right"
            along = "above" if dy < 0 else "below"
            if relation == (across if abs(dx) >= abs(dy) else along):
                return True
    return False


def iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
