"""Agreement of attention maps with segmentation masks, on the token grid. Pure functions.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

import numpy as np

from ttom.types import TokenGrid

THRESHOLD = 0.5
"""A cell of a map is attended to if it lies at least this share of the way from the frame's minimum to its maximum."""
COVERED = 0.5
"""A cell belongs to an object if it covers at least this share of the cell's pixels, over its picture frames."""


def to_grid(masks: np.ndarray, grid: TokenGrid, temporal_compression: int) -> np.ndarray:
    """Masks of the picture -> masks of the token grid.

    Latent frame 0 is picture frame 0 alone, latent frame k >= 1 the mean of picture frames c(k-1)+1 .. ck, where c is
    ``temporal_compression``. A cell counts from COVERED on.

    Args:
        masks: bool ``(N, T, height, width)``, T = c(F-1)+1; sides are multiples of the grid's.

    Returns:
        bool ``(N, F, H, W)``.
    """
    count, frames, height, width = masks.shape
    assert frames == temporal_compression * (grid.frames - 1) + 1, (masks.shape, grid)
    rows, columns = height // grid.height, width // grid.width
    assert (rows * grid.height, columns * grid.width) == (height, width), (masks.shape, grid)
    cells = masks.reshape(count, frames, grid.height, rows, grid.width, columns).mean(axis=(3, 5))
    later = cells[:, 1:].reshape(count, grid.frames - 1, temporal_compression, grid.height, grid.width).mean(axis=2)
    return np.concatenate([cells[:, :1], later], axis=1) >= COVERED


def iou(attention: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of a mask and the cells of a map above THRESHOLD (figure 3).

    The rule does not depend on the map's scale or offset, which differ from block to block. A map without any contrast
    attends to every cell alike.

    Args:
        attention: ``(H, W)``, one object in one latent frame.
        mask: bool ``(H, W)``.
    """
    low, high = attention.min(), attention.max()
    attended = attention >= low + THRESHOLD * (high - low)
    return float((attended & mask).sum() / (attended | mask).sum())


def average_precision(attention: np.ndarray, mask: np.ndarray) -> float:
    """Area under the precision-recall curve of the map as a score of the mask's cells; needs no threshold.

    The sum over all thresholds, from high to low, of the gain in recall times the precision there; equal scores are one
    threshold. Chance is the mask's share of the cells.

    Args:
        attention: ``(H, W)``, one object in one latent frame.
        mask: bool ``(H, W)``, not empty.
    """
    scores, labels = attention.ravel(), mask.ravel()
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    last_of_equals = np.append(np.diff(scores[order]) != 0, True)
    hits, taken = hits[last_of_equals], np.flatnonzero(last_of_equals) + 1
    return float(np.sum(np.diff(hits, prepend=0) * hits / taken) / hits[-1])


def scores(maps: np.ndarray, masks: np.ndarray) -> list[dict[str, float] | None]:
    """Each object's measures, means over the latent frames where its mask is not empty; None where all are.

    Args:
        maps: ``(N, F, H, W)`` of one block at one timestep.
        masks: bool ``(N, F, H, W)``.
    """
    found: list[dict[str, float] | None] = []
    for attention, mask in zip(maps, masks, strict=True):
        seen = [f for f in range(len(mask)) if mask[f].any()]
        if not seen:
            found.append(None)
            continue
        measured = [(iou(attention[f], mask[f]), average_precision(attention[f], mask[f])) for f in seen]
        means = np.mean(measured, axis=0)
        found.append({"miou": float(means[0]), "ap": float(means[1])})
    return found
