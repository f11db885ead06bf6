"""Motion binding: point tracks and masks of the first frame to a score.

Tracks are ``(T, N, 2)`` in shares of the picture with visibility ``(T, N)``; masks select among the N points by where
these are in the first frame. The official code counts in pixels of 856 x 480, which cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.metrics.registry import Excluded

Move = tuple[float, float]
"""Net shares of width and height, to the right and downwards."""
UNDETECTED = -1.0
BOX = 0.3
_AXES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


def displacement(tracks: np.ndarray, visible: np.ndarray, chosen: np.ndarray) -> Move | None:
    """How far the centroid of the chosen points moved, from the first frame to the last that shows any of them.

    Args:
        tracks: ``(T, N, 2)``.
        visible: ``(T, N)`` bool.
        chosen: ``(N,)`` bool.

    Returns:
        None if the first frame shows none of the points.
    """
    seen = visible & chosen
    if not len(seen) or not seen[0].any():
        return None
    last = int(np.flatnonzero(seen.any(axis=1))[-1])
    start, end = tracks[0][seen[0]].mean(axis=0), tracks[last][seen[last]].mean(axis=0)
    return float(end[0] - start[0]), float(end[1] - start[1])


def object_score(direction: str, foreground: Move | None, background: Move | None) -> float:
    """The move relative to the background along the direction that the prompt asks for; 0 if it goes another way.

    UNDETECTED if there is no foreground; 0 if there is no background to compare with, as in the official code.
    """
    if direction not in _AXES:
        raise Excluded(f"unknown direction {direction!r}")
    if foreground is None:
        return UNDETECTED
    if background is None:
        return 0.0
    axis, sign = _AXES[direction]
    return max(0.0, sign * (foreground[axis] - background[axis]))


def motion(directions: Sequence[str], moves: Sequence[Move | None], background: Move | None) -> float:
    """The video's score: .2 + .8 s, or 0 if no object is detected.

    Two objects count half each, where one that is undetected counts 0 unless both are.

    Args:
        directions: One or two of left, right, up, down.
        moves: The displacement of each object, None if it is undetected; see `in_directory_order`.
    """
    scores = [object_score(*pair, background) for pair in zip(directions, moves, strict=True)]
    if all(score == UNDETECTED for score in scores):
        return 0.0
    return 0.2 + 0.8 * sum(max(score, 0.0) for score in scores) / len(scores)


def in_directory_order(objects: Sequence[str], moves: Sequence[Move | None]) -> list[Move | None]:
    """The official code's quirk: it takes objects in the order in which the folder lists their masks.

    So two objects can swap directions, and the second one takes the first one's place if that is undetected. The order
    of a folder is the file system's own; by name stands for it here.
    """
    detected = [move for _, move in sorted(zip(objects, moves, strict=True), key=lambda pair: pair[0]) if move]
    return [*detected, *[None] * (len(objects) - len(detected))]
