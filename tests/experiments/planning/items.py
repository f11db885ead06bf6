"""Prompts with their metadata, and objects that move."""

from __future__ import annotations

from ttom.layout.model import Box, KeyFrame, LayoutObject

MOTION = {"prompt": "A red kite glides leftwards", "object_1": "kite", "d_1": "left", "object_2": "", "d_2": ""}


BOTH = {
    "prompt": "A mole runs left while a hen flies upward",
    "object_1": "mole",
    "d_1": "left",
    "object_2": "hen",
    "d_2": "up",
}


RELATION = {"prompt": "A hen on a crate", "spatial": "on", "object_1": "hen", "object_2": "crates"}


COUNT = {"prompt": "Two hens and three old crates", "objects": "hen, crate", "numbers": "2, 3"}


def moving(name: str, *lefts: float) -> LayoutObject:
    """A box of 0.2 x 0.2 at the top with these left edges at even times."""
    frames = tuple(
        KeyFrame(time=k / (len(lefts) - 1), box=Box(x0=left, y0=0.0, x1=left + 0.2, y1=0.2))
        for k, left in enumerate(lefts)
    )
    return LayoutObject(id=name, phrase="hen", noun="hen", key_frames=frames)
