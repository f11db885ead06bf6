"""How closely a video follows its layout: detected against planned boxes, which no benchmark measures.

Objects are asked for by their nouns, as the layout groups them. Detections are matched to the planned boxes of the
same noun one to one in each frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from eval.metrics import detections
from eval.metrics.detections import Box, Found
from eval.metrics.frames import WHOLE
from eval.metrics.registry import Ask, Excluded, Metric, Subject, register
from eval.types import Question
from ttom.emojiworld import metrics as world
from ttom.emojiworld.detector import Detection
from ttom.emojiworld.metrics import matched_ious
from ttom.layout.model import Layout

BOX = 0.35
"""Minimum score of a detection, for detectors that take one."""


def planned(layout: Layout, frames: int) -> dict[str, list[list[Box]]]:
    """The boxes of each noun in each of so many frames, evenly spread over the video."""
    times = [i / (frames - 1) if frames > 1 else 0.0 for i in range(frames)]
    result: dict[str, list[list[Box]]] = {}
    for item in layout.objects:
        rows = result.setdefault(item.noun, [[] for _ in times])
        for row, time in zip(rows, times, strict=True):
            if (box := item.box_at(time)) is not None:
                row.append((box.x0, box.y0, box.x1, box.y1))
    return result


def layout_miou(plan: Sequence[Sequence[Box]], found: Sequence[Sequence[Found]]) -> list[float]:
    """The IoU of each planned box of a noun with the detection that is matched to it, over all frames.

    The match maximizes the frame's sum of IoUs; a planned box without a detection counts 0.
    """
    frames = zip(plan, found, strict=True)
    return [score for boxes, seen in frames for score in matched_ious(boxes, [one.box for one in seen])]


def distances(plan: Sequence[Sequence[Box]], found: Sequence[Sequence[Found]]) -> list[float | None]:
    """The distance of each planned box's center to the detection that is matched to it, over all frames.

    In shares of the picture's diagonal if it were square: 1 is from one corner to the opposite one. The match minimizes
    the frame's sum; None stands for a planned box without a detection.
    """
    errors: list[float | None] = []
    for boxes, seen in zip(plan, found, strict=True):
        table = np.array([[_distance(box, one) for one in seen] for box in boxes]).reshape(len(boxes), len(seen))
        matched = table[linear_sum_assignment(table)].tolist()
        errors += [*matched, *[None] * (len(boxes) - len(matched))]
    return errors


def flicker(video: np.ndarray, boxes: Sequence[Sequence[Box]]) -> float:
    """Mean absolute change from frame to frame, 0..255, of pixels more than 2 away from every detected box.

    Args:
        video: uint8 ``(T, height, width, 3)``.
        boxes: The detected boxes of each of the T frames.
    """
    # The world's own measure looks at the boxes of detections alone.
    return world.flicker(video, [[Detection(0, 1.0, _inside(box)) for box in frame] for frame in boxes])


def _inside(box: Box) -> Box:
    x0, y0, x1, y1 = (min(max(side, 0.0), 1.0) for side in box)
    return x0, y0, x1, y1


def _distance(box: Box, found: Found) -> float:
    dx = (box[0] + box[2]) / 2 - found.center[0]
    dy = (box[1] + box[3]) / 2 - found.center[1]
    return float(np.hypot(dx, dy) / np.sqrt(2))


def _nouns(subject: Subject) -> list[str]:
    assert subject.layout is not None
    return list(dict.fromkeys(item.noun for item in subject.layout.objects))


def _questions(subject: Subject) -> list[Question]:
    return [detections.question(noun, WHOLE, BOX) for noun in _nouns(subject)]


def _by_noun(subject: Subject, ask: Ask) -> list[tuple[list[list[Box]], list[list[Found]]]]:
    """Planned and detected boxes of each noun, per frame."""
    assert subject.layout is not None
    pairs = []
    for noun, question in zip(_nouns(subject), _questions(subject), strict=True):
        found = detections.parse(ask(question))
        if not found:
            raise Excluded("a judge's boxes cannot be read")
        pairs.append((planned(subject.layout, len(found))[noun], found))
    return pairs


def _miou(subject: Subject, ask: Ask) -> float:
    return float(np.mean([score for pair in _by_noun(subject, ask) for score in layout_miou(*pair)]))


def _coverage(subject: Subject, ask: Ask) -> float:
    errors = [error for pair in _by_noun(subject, ask) for error in distances(*pair)]
    return sum(error is not None for error in errors) / len(errors)


def _trajectory(subject: Subject, ask: Ask) -> float:
    errors = [error for pair in _by_noun(subject, ask) for error in distances(*pair) if error is not None]
    if not errors:
        raise Excluded("no planned object is detected")
    return float(np.mean(errors))


def _flicker_questions(subject: Subject) -> list[Question]:
    options = {"frames": WHOLE, "box_threshold": BOX, "text_threshold": detections.TEXT_THRESHOLD}
    return [Question(kind="flicker", text=" . ".join(_nouns(subject)), options=options)]


def _flicker(subject: Subject, ask: Ask) -> float:
    value = ask(_flicker_questions(subject)[0])
    if not isinstance(value, int | float):
        raise Excluded("a judge's flicker is not a number")
    return float(value)


def _has_layout(subject: Subject) -> bool:
    return subject.layout is not None


register(Metric("layout_miou", _has_layout, _questions, _miou))
register(Metric("layout_coverage", _has_layout, _questions, _coverage))
register(Metric("trajectory_error", _has_layout, _questions, _trajectory))
register(Metric("flicker", _has_layout, _flicker_questions, _flicker))
