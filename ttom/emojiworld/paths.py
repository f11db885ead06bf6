"""The shape of a path: places ``(n, 2)``, x and y in shares of the picture, one for each frame with the thing."""

from __future__ import annotations

import numpy as np

from ttom.emojiworld.facts import Direction
from ttom.emojiworld.metrics import direction_of


def direction_of_path(places: np.ndarray, least: float = 0.1) -> Direction | None:
    """Where it gets from the first two places to the last two; None if that is less than `least`."""
    if len(places) < 2:
        return None
    dx, dy = (places[-2:].mean(0) - places[:2].mean(0)).tolist()
    return direction_of(dx, dy, least)


def is_turn(places: np.ndarray, path: tuple[Direction, ...]) -> bool:
    """Some frame in the middle half parts the video into a leg in each of the two directions."""
    count = len(places)
    cuts = range(max(2, count // 4), min(count - 2, 3 * count // 4) + 1)
    return any((direction_of_path(places[: cut + 1]), direction_of_path(places[cut:])) == path for cut in cuts)


def is_zigzag(places: np.ndarray, along: Direction) -> bool:
    """It gets along, and across it turns around at least twice, by a tenth of the side or more each time."""
    axis = 0 if along in ("left", "right") else 1
    if len(places) < 5 or np.sign(places[-1, axis] - places[0, axis]) != (1 if along in ("right", "down") else -1):
        return False
    if abs(places[-1, axis] - places[0, axis]) < 0.1:
        return False
    turns, extreme, heading = 0, float(places[0, 1 - axis]), 0
    for value in places[1:, 1 - axis].tolist():
        moved = value - extreme
        if heading * moved > 0:
            extreme = value
        elif abs(moved) >= 0.1:
            turns += heading != 0
            heading, extreme = (1 if moved > 0 else -1), value
    return turns >= 2
