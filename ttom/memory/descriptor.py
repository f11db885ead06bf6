"""What a layout looks like, as one vector of fixed size: the part of the memory's key that words do not express.

Text embeddings hardly tell "left of" from "right of", but an adapter was optimized for masks, so the masks are its
natural key. Nothing here knows nouns: only boxes, their order, their motion and their number count.

Letters in shapes: S slots, one a group in the order of the abstraction's letters; T times; H, W cells.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ttom.layout.model import Layout, LayoutObject
from ttom.memory.abstraction import groups_in_order

VERSION = 1
"""Part of the identity of every key that contains a descriptor: change it with anything below."""
SLOTS = 4
"""Groups with a slot of their own; all further ones share the last."""
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
ROWS, COLUMNS = 4, 6
MAX_COUNT = 8
"""Larger numbers of objects in a group are not told apart."""
_BLUR = 0.12
"""Standard deviation, in shares of the picture, that smooths every box, so that small shifts change little."""
_SPREAD = 0.25
"""The same as a share of the box's size, as in the masks of the loss."""
_SLOW = 0.25
"""Speed, in pictures per video, at which an object counts as half moving, half still."""
_MASKS, _VELOCITY, _COUNT = 0.6, 0.25, 0.15
"""Shares of the three parts in the similarity of two slots."""
_FRAME = ROWS * COLUMNS + 1
_SLOT = _FRAME * len(TIMES) + 3 * (len(TIMES) - 1) + MAX_COUNT
DIMENSION = SLOTS * _SLOT


def describe(prompt: str, layout: Layout) -> np.ndarray:
    """The descriptor of a prompt's layout, ``(DIMENSION,)`` float32 of unit length.

    Per slot: soft masks on a coarse grid over time, the direction and speed of the center, and the number of objects.
    The inner product of two descriptors is 1 for equal layouts and the mean over slots otherwise, so that a layout
    with more groups is never equal to one with fewer.

    Raises:
        UserError: The layout belongs to another prompt.
    """
    groups = groups_in_order(prompt, layout)
    shared = tuple(item for group in groups[SLOTS - 1 :] for item in group.objects)
    members = [group.objects for group in groups[: SLOTS - 1]] + ([shared] if shared else [])
    found = np.zeros((SLOTS, _SLOT))
    for slot, objects in zip(found, members, strict=False):
        slot[:] = _slot(objects)
    return (found.ravel() / math.sqrt(len(members))).astype(np.float32)


def _slot(objects: tuple[LayoutObject, ...]) -> np.ndarray:
    """Masks, velocities and number of a group, ``(_SLOT,)`` of unit length."""
    masks = np.concatenate([_frame(objects, time) for time in TIMES]) / math.sqrt(len(TIMES))
    steps = np.concatenate([_step(objects, *times) for times in pairwise(TIMES)]) / math.sqrt(len(TIMES) - 1)
    number = np.eye(MAX_COUNT)[min(len(objects), MAX_COUNT) - 1]
    return np.concatenate([math.sqrt(_MASKS) * masks, math.sqrt(_VELOCITY) * steps, math.sqrt(_COUNT) * number])


def _frame(objects: tuple[LayoutObject, ...], time: float) -> np.ndarray:
    """The mask at a time, ``(H * W + 1,)`` of unit length; the last number is 1 where nothing is visible."""
    x, y = (np.arange(COLUMNS) + 0.5) / COLUMNS, (np.arange(ROWS) + 0.5) / ROWS
    total = np.zeros((ROWS, COLUMNS))
    for box in filter(None, (item.box_at(time) for item in objects)):
        column = _bell(x, box.center[0], box.width)
        total += _bell(y, box.center[1], box.height)[:, None] * column
    length = float(np.linalg.norm(total))
    return np.append(total.ravel() / length, 0.0) if length else np.eye(_FRAME)[-1]


def _bell(at: np.ndarray, center: float, size: float) -> np.ndarray:
    return np.exp(-((at - center) ** 2) / (2 * (_BLUR**2 + (_SPREAD * size) ** 2)))


def _step(objects: tuple[LayoutObject, ...], start: float, end: float) -> np.ndarray:
    """Mean motion from one time to another, ``(3,)`` of unit length: (1, 0, 0) is still, (0, 1, 0) to the right."""
    moves = []
    for item in objects:
        first, last = item.box_at(start), item.box_at(end)
        if first is not None and last is not None:
            moves.append([(b - a) / (end - start) for a, b in zip(first.center, last.center, strict=True)])
    velocity = np.mean(moves, axis=0) / _SLOW if moves else np.zeros(2)
    step = np.array([1.0, *velocity])
    return step / np.linalg.norm(step)
