"""Which similarity means "the same composition": a threshold for each text embedder and kind of key.

Embedders differ in how alike unrelated texts appear, so no number fits all. A calibration stores some prompts of known
composition, looks up the others, and takes the smallest threshold at which hardly any finds another composition.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ttom.config import KeyKind, MemoryConfig
from ttom.errors import UserError
from ttom.layout.model import Box, KeyFrame, Layout
from ttom.memory.key_maker import KeyMaker, KeyTerms
from ttom.memory.query import Query
from ttom.memory.store import Store

DEFAULTS: dict[KeyKind, float] = {"text": 0.97, "layout": 0.91, "both": 0.945}
"""Thresholds of memories that were not calibrated: those of the embedded text encoder (experiments/memory_keys), but
for texts the one that memories had before there were calibrations."""
WRONG = 0.005
"""Maximum share of prompts that may find another composition: half of the .01 that unseen prompts should keep to."""
LEAST = 20
"""Minimum number of prompts."""
JITTER = 0.02
"""Shares of the picture by which boxes are moved, as planners other than the rules scatter them."""


@dataclass(frozen=True)
class Example:
    """A prompt whose composition is known."""

    query: Query
    composition: Hashable


class Calibration(BaseModel):
    """Measured on `prompts` examples; stored with the memory.

    Attributes:
        keys: Identity of the keys; a calibration is void for others.
        threshold: Minimum similarity for a match.
        found: Share of the prompts that find their composition, of those that have it in the memory.
        wrong: Share of all prompts that find another composition where the memory lacks theirs.
    """

    model_config = ConfigDict(frozen=True)

    keys: str
    threshold: float = Field(ge=-1, le=1, allow_inf_nan=False)
    found: float = Field(ge=0, le=1)
    wrong: float = Field(ge=0, le=1)
    prompts: int = Field(ge=1)


@dataclass(frozen=True)
class Nearest:
    """Of each query: the largest similarity to a key of its composition (-inf without one), and to any other key."""

    same: np.ndarray
    other: np.ndarray

    def found(self, threshold: float) -> float:
        """Share of the queries with their composition among the keys whose best match is one of it."""
        known = np.isfinite(self.same)
        return float(((self.same >= threshold) & (self.same >= self.other))[known].mean()) if known.any() else 0.0

    def wrong(self, threshold: float) -> float:
        """Share of the queries that match another composition if their own is taken out of the memory."""
        return float((self.other >= threshold).mean())


def nearest(
    queries: np.ndarray, keys: np.ndarray, of_queries: Sequence[Hashable], of_keys: Sequence[Hashable]
) -> Nearest:
    """Compare keys of known compositions.

    Args:
        queries, keys: Unit vectors ``(q, D)`` and ``(n, D)``.
        of_queries, of_keys: Their compositions.
    """
    likeness = queries @ keys.T
    same = np.array([[mine == theirs for theirs in of_keys] for mine in of_queries])
    lowest = np.float32(-np.inf)
    return Nearest(np.where(same, likeness, lowest).max(axis=1), np.where(same, lowest, likeness).max(axis=1))


def calibrate(keys: KeyMaker, examples: Sequence[Example], seed: int = 0) -> Calibration:
    """The threshold for these keys, from examples whose compositions recur in other words.

    One half of them is stored, and the other half is looked up, with boxes moved a little.

    Raises:
        UserError: There are too few examples.
    """
    if len(examples) < LEAST:
        raise UserError(f"{len(examples)} prompts to calibrate with", expected=f"at least {LEAST}")
    dice = np.random.default_rng(seed)
    order = dice.permutation(len(examples))
    stored, asked = ([examples[i] for i in part] for part in (order[::2], order[1::2]))
    moved = [Query(example.query.prompt, jittered(example.query.layout, dice)) for example in asked]
    found = nearest(
        np.stack([keys.of(query) for query in moved]),
        np.stack([keys.of(example.query) for example in stored]),
        [example.composition for example in asked],
        [example.composition for example in stored],
    )
    threshold = _threshold(found.other)
    return Calibration(
        keys=keys.identity,
        threshold=threshold,
        found=round(found.found(threshold), 4),
        wrong=round(found.wrong(threshold), 4),
        prompts=len(examples),
    )


def _threshold(others: np.ndarray) -> float:
    """The smallest threshold, in ten-thousandths, that at most a share of WRONG of the others reaches."""
    allowed = int(WRONG * len(others))
    highest = float(np.sort(others)[::-1][allowed])
    return round(min(1.0, np.floor(highest * 1e4) / 1e4 + 1e-4), 4)


def jittered(layout: Layout, dice: np.random.Generator) -> Layout:
    """The layout with every object moved by up to JITTER of the picture, but not out of it."""
    objects = []
    for item in layout.objects:
        dx, dy = dice.uniform(-JITTER, JITTER, 2)
        frames = tuple(KeyFrame(time=frame.time, box=_moved(frame.box, dx, dy)) for frame in item.key_frames)
        objects.append(item.model_copy(update={"key_frames": frames}))
    return layout.model_copy(update={"objects": tuple(objects)})


def _moved(box: Box, dx: float, dy: float) -> Box:
    dx, dy = max(-box.x0, min(1 - box.x1, dx)), max(-box.y0, min(1 - box.y1, dy))
    x0, y0 = max(0.0, box.x0 + dx), max(0.0, box.y0 + dy)
    return Box(x0=x0, y0=y0, x1=min(1.0, x0 + box.width), y1=min(1.0, y0 + box.height))


def stored_calibration(meta: Mapping[str, Any]) -> Calibration | None:
    """The calibration in a memory's description (`read_meta`); None without one, or if it is of other keys."""
    try:
        found = Calibration.model_validate(meta["calibration"])
    except (KeyError, ValidationError):
        return None
    return found if found.keys == meta["embedder"] else None


def threshold_of(config: MemoryConfig, store: Store) -> float:
    """The threshold of the settings, or that of a memory: calibrated, or that of its kind of key."""
    if config.threshold is not None:
        return config.threshold
    found = stored_calibration(store.meta)
    return found.threshold if found is not None else DEFAULTS[KeyTerms.of(store.embedder).kind]


def keep_calibration(store: Store, found: Calibration) -> None:
    """Store a calibration with a memory. Raises UserError if it is one of other keys."""
    if found.keys != store.embedder:
        raise UserError(
            f"the calibration is one of the keys {found.keys}",
            expected=f"those of the memory {store.folder}: {store.embedder}",
            remedy="calibrate with the memory's embedder",
        )
    with store.writing():
        store.check_keys()
        store.describe(store.embedder, store.dimension, found)
