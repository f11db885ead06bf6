"""What is true of a scene: its boxes, and what a perfect detector would say of them."""

from __future__ import annotations

import numpy as np

from ttom.emojiworld.detector import Detection
from ttom.emojiworld.facts import Side
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH, Point, Scene, Thing


def thing_boxes(thing: Thing) -> np.ndarray:
    """Tight boxes ``(FRAMES, 4)`` in pixels, x0 y0 x1 y1, not clipped to the picture."""
    return np.array([thing.box_at(float(time)) for time in np.linspace(0, 1, FRAMES)])


def is_on_side(side: Side, first: Point, second: Point) -> bool:
    """Whether the first place is left of the second, or on another side of it; y grows downward."""
    dx, dy = first[0] - second[0], first[1] - second[1]
    return {"left": dx < 0, "right": dx > 0, "above": dy < 0, "below": dy > 0}[side]


def true_detections(scene: Scene) -> list[list[Detection]]:
    """Every thing of which a quarter is in the picture, with its color, by frame."""
    frames = []
    for time in np.linspace(0, 1, FRAMES).tolist():
        shown = [thing for thing in scene.things if thing.shown_at(time) >= 0.25]
        boxes = [np.array(thing.box_at(time)) / (WIDTH, HEIGHT, WIDTH, HEIGHT) for thing in shown]
        frames.append(
            [
                Detection(thing.noun, 0.9, tuple(box.clip(0, 1).tolist()), thing.color)
                for thing, box in zip(shown, boxes, strict=True)
            ]
        )
    return frames
