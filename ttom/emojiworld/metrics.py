"""Facts read off a video by the detector: presence, counts, direction, relation. Pure functions over detections.

`frames` is a list over picture frames of lists of Detection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ttom.emojiworld.detector import Detection
from ttom.emojiworld.facts import Direction
from ttom.emojiworld.nouns import NOUNS
from ttom.layout.model import Layout

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


def _centers(frames: Frames, noun: int) -> list[tuple[int, float, float]]:
    """Frame index and center of the noun's most probable detection, where there is one."""
    rows = []
    for i, found in enumerate(of_noun(frames, noun)):
        if found:
            x0, y0, x1, y1 = max(found, key=lambda d: d.score).box
            rows.append((i, (x0 + x1) / 2, (y0 + y1) / 2))
    return rows


def displacement(frames: Frames, noun: int) -> tuple[float, float] | None:
    """Net move of the noun's center, as shares of width and height, from the first two to the last two frames with it.

    None if it is seen in fewer than half of the frames.
    """
    rows = _centers(frames, noun)
    if len(rows) < len(frames) / 2:
        return None
    first, last = np.mean(rows[:2], 0), np.mean(rows[-2:], 0)
    return float(last[1] - first[1]), float(last[2] - first[2])


def direction(frames: Frames, noun: int, least: float = 0.1) -> Direction | None:
    """Left, right, up or down, by the larger share; None if absent or if it moved less than `least` of the side."""
    moved = displacement(frames, noun)
    return None if moved is None else direction_of(*moved, least=least)


def direction_of(dx: float, dy: float, least: float = 0.1) -> Direction | None:
    """The direction of a displacement in shares of width and height, by the larger one; None below `least`."""
    if max(abs(dx), abs(dy)) < least:
        return None
    if abs(dx) >= abs(dy):
        return "left" if dx < 0 else "right"
    return "up" if dy < 0 else "down"


def relation_share(frames: Frames, first: int, second: int, relation: str) -> float:
    """Share of frames where some first lies `relation` some second, by the dominant axis of the center difference."""
    return float(np.mean([_related(frame, first, second, relation) for frame in frames]))


def _related(frame: Sequence[Detection], first: int, second: int, relation: str) -> bool:
    boxes = [[d.box for d in frame if d.noun == noun] for noun in (first, second)]
    return any(is_beside(a, b, relation) for a in boxes[0] for b in boxes[1])


def is_beside(a: Box, b: Box, side: str) -> bool:
    """Whether box a is on that side of box b, by the dominant axis of the difference of their centers."""
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    across = "left" if dx < 0 else "right"
    along = "above" if dy < 0 else "below"
    return side == (across if abs(dx) >= abs(dy) else along)


def iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def matched_ious(planned: Sequence[Box], found: Sequence[Box]) -> list[float]:
    """The IoU of each planned box with the found box that is matched to it, in no order; 0 for a box without one.

    They are matched one to one so that the sum is largest.
    """
    table = np.array([[iou(box, other) for other in found] for box in planned]).reshape(len(planned), len(found))
    matched = table[linear_sum_assignment(table, maximize=True)].tolist()
    return [*matched, *[0.0] * (len(planned) - len(matched))]


def layout_miou(frames: Frames, layout: Layout) -> float:
    """Mean over frames and planned boxes of the IoU with the detection of the same noun that is matched to the box.

    Detections are matched one to one so that the sum of IoUs is largest; a planned box without a detection counts 0.
    """
    scores: list[float] = []
    for i, frame in enumerate(frames):
        at = i / max(1, len(frames) - 1)
        for group in layout.groups():
            boxes = [box for box in (thing.box_at(at) for thing in group.objects) if box is not None]
            found = [d.box for d in frame if NOUNS[d.noun].name == group.noun]
            scores += matched_ious([(b.x0, b.y0, b.x1, b.y1) for b in boxes], found)
    return float(np.mean(scores))


def flicker(video: np.ndarray, frames: Frames) -> float:
    """Mean absolute change from frame to frame, in 0..255, of pixels 2 or more away from every detected box."""
    height, width = video.shape[1:3]
    outside = np.ones(video.shape[:3], bool)
    for i, frame in enumerate(frames):
        for x0, y0, x1, y1 in (d.box for d in frame):
            rows = slice(max(int(y0 * height) - 2, 0), int(y1 * height) + 3)
            outside[i, rows, max(int(x0 * width) - 2, 0) : int(x1 * width) + 3] = False
    both = outside[1:] & outside[:-1]
    moved = np.abs(np.diff(video.astype(np.int16), axis=0)).mean(-1)
    return float(moved[both].mean()) if both.any() else 0.0
