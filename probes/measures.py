"""Agreement of attention maps with segmentation masks, on the token grid. Pure functions.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import binary_average_precision

from ttom.types import TokenGrid

THRESHOLD = 0.5
"""A cell is attended to if its value is at least this share of the way from the frame's minimum to its maximum."""
COVERED = 0.5
"""A cell belongs to an object if it covers at least this share of the cell's pixels, over its picture frames."""


def to_grid(masks: np.ndarray, grid: TokenGrid, temporal_compression: int) -> np.ndarray:
    """Downsample masks of the picture to the token grid.

    Latent frame 0 is picture frame 0 alone, latent frame k >= 1 the mean of picture frames c(k-1)+1 .. ck, where c is
    ``temporal_compression``. A cell belongs to an object that covers at least COVERED of it.

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
    attends to every cell.

    Args:
        attention: ``(H, W)``, one object in one latent frame.
        mask: bool ``(H, W)``.
    """
    low, high = attention.min(), attention.max()
    attended = attention >= low + THRESHOLD * (high - low)
    return float((attended & mask).sum() / (attended | mask).sum())


def average_precision(attention: np.ndarray, mask: np.ndarray) -> float:
    """Area under the precision-recall curve of the map as a score of the mask's cells; needs no threshold.

    Chance is the mask's share of the cells.

    Args:
        attention: ``(H, W)``, one object in one latent frame.
        mask: bool ``(H, W)``, not empty.
    """
    above = attention.astype(np.float64).ravel() - attention.min()
    scores = above / (above.max() or 1.0)  # outside 0..1 torchmetrics would apply a sigmoid, which ties large values
    return float(binary_average_precision(torch.from_numpy(scores), torch.from_numpy(mask.ravel().astype(np.int64))))


@dataclass(frozen=True)
class Agreement:
    """How well an object's maps agree with its masks, averaged over the latent frames with a mask."""

    miou: float
    ap: float


def agreements(maps: np.ndarray, masks: np.ndarray) -> list[Agreement | None]:
    """The agreement of each object; None for objects without a mask in any frame.

    Args:
        maps: ``(N, F, H, W)`` of one block at one timestep.
        masks: bool ``(N, F, H, W)``.
    """
    found: list[Agreement | None] = []
    for attention, mask in zip(maps, masks, strict=True):
        seen = [f for f in range(len(mask)) if mask[f].any()]
        if not seen:
            found.append(None)
            continue
        measured = [(iou(attention[f], mask[f]), average_precision(attention[f], mask[f])) for f in seen]
        miou, ap = np.mean(measured, axis=0).tolist()
        found.append(Agreement(miou, ap))
    return found
