"""Boxes that a judge found, and what benchmarks do with them before counting.

Boxes are x0, y0, x1, y1 in shares of the picture. The answer to a question "detect" or "segment" holds, for each frame
asked for, a list of objects with "box", "score" (0..1), "phrase" (what the judge read off the box) and, for "segment",
"mask" (see `eval.metrics.arrays`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eval.metrics.registry import Excluded
from eval.types import Question
from ttom.emojiworld.metrics import iou

Box = tuple[float, float, float, float]
TEXT_THRESHOLD = 0.25


@dataclass(frozen=True)
class Found:
    """One detected object; `mask` is encoded, None if the judge was asked for boxes alone."""

    box: Box
    score: float
    phrase: str
    mask: dict[str, Any] | None = None

    @property
    def center(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


def question(text: str, frames: int, box_threshold: float, kind: str = "detect") -> Question:
    """Ask for the objects that a text names, in ``frames`` frames spread over the video.

    Thresholds are GroundingDINO's; a judge with calibrated scores of its own ignores them.
    """
    options = {"frames": frames, "box_threshold": box_threshold, "text_threshold": TEXT_THRESHOLD}
    return Question(kind=kind, text=text, options=options)


def parse(value: Any) -> list[list[Found]]:
    """The objects in each frame. Raises Excluded for a value of another form."""
    try:
        return [[_found(item) for item in frame] for frame in value]
    except (TypeError, KeyError, ValueError) as error:
        raise Excluded("a judge's boxes cannot be read") from error


def parse_box(value: Any) -> Box:
    """A box. Raises TypeError or ValueError for a value of another form."""
    x0, y0, x1, y1 = (float(side) for side in value)
    return x0, y0, x1, y1


def _found(item: dict[str, Any]) -> Found:
    return Found(parse_box(item["box"]), float(item["score"]), str(item["phrase"]), item.get("mask"))


def merge_duplicates(found: Iterable[Found], threshold: float) -> list[Found]:
    """Drop boxes that cover another one at an IoU above the threshold; the more probable one takes the place.

    In the order of detection, each box is compared with those kept so far, and merged with the first that it covers.
    """
    kept: list[Found] = []
    for new in found:
        covered = next((i for i, old in enumerate(kept) if iou(new.box, old.box) > threshold), None)
        if covered is None:
            kept.append(new)
        elif new.score > kept[covered].score:
            kept[covered] = new
    return kept


def of_phrase(found: Sequence[Found], phrase: str, *, parity: bool) -> list[Found]:
    """The boxes whose decoded phrase is the object's.

    The official code compares strings as they are, so "t - shirt", as the tokenizer writes it, is no "t-shirt", and an
    object with a capital is never found; without parity, case and spaces are ignored.
    """
    if parity:
        return [one for one in found if one.phrase == phrase]
    return [one for one in found if _plain(one.phrase) == _plain(phrase)]


def _plain(phrase: str) -> str:
    return "".join(phrase.lower().split())
