"""Which frames of a video are looked at, as T2V-CompBench samples them."""

from __future__ import annotations

import numpy as np

GRID = 6
"""Frames of the 3 x 2 grid that language models see."""
SAMPLED = 16
DYNAMIC = 8
MOTION_FPS = 8
WHOLE = 17
"""Frames for metrics of our own: an embedded model's video is read whole, 81 frames every fifth, 49 every third."""


def spread(total: int, number: int) -> list[int]:
    """``number`` frames from the first to the last of ``total``; all of them if there are not more."""
    if total <= number:
        return list(range(total))
    return np.linspace(0, total - 1, number, dtype=int).tolist()


def grid(total: int) -> list[int]:
    """The 6 frames of the grid: out of the 16 sampled ones."""
    sampled = spread(total, SAMPLED)
    return [sampled[i] for i in np.linspace(0, len(sampled) - 1, GRID, dtype=int)]


def motion(total: int, fps: int) -> list[int]:
    """About 8 frames a second: total // fps * 8 of them (Wan's 81 at 16 fps give 40, CogVideoX's 49 at 8 fps give 48).

    Empty if the video is shorter than a second.
    """
    return spread(total, total // fps * MOTION_FPS)
