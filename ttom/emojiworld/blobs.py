"""A judge that has learned nothing: blobs in front of a smooth background, their hues and where they go.

It knows no nouns, so it cannot tell a cat from a dog; but how many things there are, which colors they have and how one
thing moves can be read without a trained model, which is a check on the detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_opening, label
from torch import Tensor

from ttom.emojiworld.colors import name_color, to_oklab
from ttom.emojiworld.facts import Facts
from ttom.emojiworld.metrics import direction_of

LEAST_DISTANCE = 0.045
"""Oklab distance from the background from which on a pixel belongs to a thing."""
LEAST_PIXELS = 20


@dataclass(frozen=True)
class Blob:
    """One connected thing in one frame.

    Attributes:
        center: x and y as shares of the picture.
        pixels: How many it covers.
        color: The color word nearest to its pixels.
    """

    center: tuple[float, float]
    pixels: int
    color: str


def find_blobs(frame: np.ndarray) -> list[Blob]:
    """The blobs of a frame ``(H, W, 3)`` in 0..1; things that touch are one."""
    lab = to_oklab(frame.astype(np.float64))
    mask = np.linalg.norm(lab - _background(lab), axis=-1) > LEAST_DISTANCE
    labels, count = label(binary_opening(mask))
    height, width = mask.shape
    blobs = []
    for number in range(1, count + 1):
        y, x = np.nonzero(labels == number)
        if len(y) >= LEAST_PIXELS:
            center = ((float(x.mean()) + 0.5) / width, (float(y.mean()) + 0.5) / height)
            blobs.append(Blob(center, len(y), name_color(frame[y, x])))
    return blobs


def _background(lab: np.ndarray) -> np.ndarray:
    """A smooth surface through most of the pixels ``(H, W, 3)``: least squares, again without what lies far from it."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], -1).reshape(-1, 10)
    values = lab.reshape(-1, 3)
    border = np.zeros((height, width), bool)
    border[:3] = border[-3:] = True
    border[:, :3] = border[:, -3:] = True
    keep = border.ravel()  # things cover less of the edge than of the middle
    surface = values
    for _ in range(8):
        weights, *_ = np.linalg.lstsq(terms[keep], values[keep], rcond=None)
        surface = terms @ weights
        distance = np.linalg.norm(values - surface, axis=1)
        keep = distance < max(0.03, float(np.quantile(distance, 0.3)))
    return surface.reshape(lab.shape)


def judge(facts: Facts, video: Tensor) -> Iterator[tuple[str, bool]]:
    """(measure, holds) of a video ``(3, T, H, W)`` in -1..1, for the facts that blobs can tell.

    "number" of still scenes, "direction" of scenes with one thing that moves straight, "color" of a colored thing.
    """
    frames = ((video.permute(1, 2, 3, 0).float().cpu().numpy() + 1) / 2).clip(0, 1)
    found = [find_blobs(frame) for frame in frames[:: max(1, len(frames) // 4)]]
    subjects = facts.subjects
    if not any(subject.path for subject in subjects):
        yield "number", float(np.median([len(row) for row in found])) == sum(subject.count for subject in subjects)
    if len(subjects) == 1 and subjects[0].count == 1 and len(facts.directions) == 1:
        yield "direction", _direction(found) == facts.directions[0][1]
    for subject in subjects:
        if subject.color is not None:
            yield "color", sum(any(blob.color == subject.color for blob in row) for row in found) > len(found) / 2


def _direction(found: list[list[Blob]]) -> str | None:
    """How the largest blob moves."""
    places = [max(row, key=lambda blob: blob.pixels).center for row in found if row]
    if len(places) < 2:
        return None
    (x0, y0), (x1, y1) = places[0], places[-1]
    return direction_of(x1 - x0, y1 - y0)
