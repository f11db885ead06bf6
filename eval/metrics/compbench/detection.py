"""Numeracy and spatial relationships: boxes, masks and depth to scores.

Frames are those sampled from the video, 16 of them; `first` and `second` name the objects as the metadata spells them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from eval.metrics.arrays import decode
from eval.metrics.detections import Found, merge_duplicates, of_phrase
from eval.metrics.frames import SAMPLED
from eval.metrics.registry import Excluded
from ttom.emojiworld.metrics import iou

Frames = Sequence[Sequence[Found]]
NUMERACY_BOX, SPATIAL_BOX = 0.4, 0.35
MERGE, MERGE_3D = 0.9, 0.95
ONE_MISSING, BOTH_MISSING = -1.0, -2.0
_ALSO = {"on": "above", "below": "under"}
"""Relations of the metadata that accept the place of another one."""


def numeracy(by_object: Sequence[tuple[str, int, Frames]], *, parity: bool = True) -> float:
    """Share of exact counts: in each frame every object has an equal part; then the mean over frames.

    Args:
        by_object: For each object its phrase, its number in the prompt, and the boxes found for it alone, per frame.
    """
    check_frames(len(frames) for _, _, frames in by_object)
    scores = []
    for i in range(SAMPLED):
        found = merge_duplicates((one for _, _, frames in by_object for one in frames[i]), MERGE)
        exact = [len(of_phrase(found, phrase, parity=parity)) == number for phrase, number, _ in by_object]
        scores.append(sum(exact) / len(exact))
    return sum(scores) / SAMPLED


def spatial_2d(relation: str, first: str, second: str, frames: tuple[Frames, Frames], *, parity: bool = True) -> float:
    """Left, right, above, on, under, below: by the dominant axis of the difference of the boxes' centers.

    Args:
        frames: The boxes found for the first object alone and for the second alone, per frame.
    """

    def judge(a: Found, b: Found, _: int) -> float | None:
        return 1 - iou(a.box, b.box) if _place(a, b) == _ALSO.get(relation, relation) else None

    return _spatial(first, second, frames, MERGE, judge, parity)


def spatial_3d(
    relation: str,
    first: str,
    second: str,
    frames: tuple[Frames, Frames],
    depths: np.ndarray,
    *,
    parity: bool = True,
) -> float:
    """In front of, behind: by the mean depth inside the masks of two boxes that overlap; the score is their IoU.

    With parity, probabilities are looked up in the list from before duplicates were merged, as the official code does;
    they matter only where several pairs are right.

    Args:
        frames: Boxes with masks, like those of `spatial_2d`.
        depths: ``(16, height, width)``, larger is nearer.
    """
    check_frames([len(depths)])

    def judge(a: Found, b: Found, frame: int) -> float | None:
        overlap = iou(a.box, b.box)
        if overlap == 0:
            return None
        one, other = (_mean_depth(found, depths[frame]) for found in (a, b))
        return overlap if (one > other if relation == "in front of" else one < other) else None

    return _spatial(first, second, frames, MERGE_3D, judge, parity, raw_probabilities=parity)


def frame_score(raw: float) -> float:
    """-2 (both objects are missing) -> 0, -1 (one is) -> .2, 0 (wrong) -> .4, s > 0 -> .4 + .6 s."""
    return {BOTH_MISSING: 0.0, ONE_MISSING: 0.2}.get(raw, 0.4 + 0.6 * raw)


def check_frames(counts: Iterable[int]) -> None:
    """Raise Excluded unless every list has a row for each of the 16 sampled frames."""
    if any(count != SAMPLED for count in counts):
        raise Excluded(f"not {SAMPLED} frames")


def _spatial(
    first: str,
    second: str,
    frames: tuple[Frames, Frames],
    merge: float,
    judge: Callable[[Found, Found, int], float | None],
    parity: bool,
    raw_probabilities: bool = False,
) -> float:
    check_frames(len(one) for one in frames)
    scores = []
    for i, raw in enumerate(zip(*frames, strict=True)):
        found = merge_duplicates([*raw[0], *raw[1]], merge)
        a, b = (of_phrase(found, phrase, parity=parity) for phrase in (first, second))
        if not a or not b:
            scores.append(frame_score(ONE_MISSING if a or b else BOTH_MISSING))
            continue
        sure = [_probabilities(kept, raw[k], raw_probabilities) for k, kept in enumerate((a, b))]
        right = [
            (0.5 * score + 0.25 * (sure[0][j] + sure[1][k]), score)
            for j, one in enumerate(a)
            for k, other in enumerate(b)
            if (score := judge(one, other, i)) is not None
        ]
        # The first of equals wins, as with the official code's index().
        scores.append(frame_score(max(right, key=lambda pair: pair[0])[1] if right else 0.0))
    return sum(scores) / SAMPLED


def _probabilities(kept: Sequence[Found], raw: Sequence[Found], from_raw: bool) -> list[float]:
    if from_raw and len(raw) >= len(kept):
        return [raw[i].score for i in range(len(kept))]
    return [one.score for one in kept]


def _place(a: Found, b: Found) -> str | None:
    """How a lies to b; None on a diagonal, where neither axis dominates."""
    dx, dy = a.center[0] - b.center[0], a.center[1] - b.center[1]
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    if abs(dy) > abs(dx):
        return "above" if dy < 0 else "under"
    return None


def _mean_depth(found: Found, depth: np.ndarray) -> float:
    """Mean depth inside the mask; NaN, which is neither nearer nor farther, for an empty mask."""
    if found.mask is None:
        raise Excluded("a judge's box has no mask")
    try:
        mask = decode(found.mask)
    except ValueError as error:
        raise Excluded("a judge's mask cannot be read") from error
    if mask.shape != depth.shape:
        raise Excluded("masks and depth differ in size")
    return float(depth[mask].mean()) if mask.any() else float("nan")
