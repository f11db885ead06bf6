"""Which facts of a scene a video shows, by its detections. Pure functions; see metrics.py for single measures.

A detection stands for a subject if it has its noun and, where the subject has one, its color.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ttom.emojiworld.detector import Detection
from ttom.emojiworld.facts import SIDES, Direction, Facts, Relation, Subject
from ttom.emojiworld.metrics import Frames, is_beside, of_noun
from ttom.emojiworld.nouns import extents
from ttom.emojiworld.paths import direction_of_path, is_turn, is_zigzag
from ttom.emojiworld.scene import HEIGHT, WIDTH

FactName = Literal["presence", "count", "direction", "turn", "zigzag", "passage", "color", "size", "relation"]
BIG, SMALL = 28.0, 19.0
"""Sides of a sprite in pixels, from which on and up to which it counts as big or small."""


@dataclass(frozen=True)
class Verdict:
    """Whether one fact of a scene holds in a video.

    Attributes:
        subject: Index in Facts.subjects; of a relation, the first of its subjects.
    """

    name: FactName
    subject: int
    holds: bool


def judge(facts: Facts, frames: Frames) -> list[Verdict]:
    """A verdict on every fact of the scene. Colors need detections that were read with their colors."""
    verdicts = []
    for i, subject in enumerate(facts.subjects):
        same = [other for other in facts.subjects if other.noun == subject.noun]
        for name, holds in _subject(subject, frames, sum(other.count for other in same)).items():
            verdicts.append(Verdict(name, i, holds))
    for relation in facts.relations:
        verdicts.append(Verdict("relation", relation.first, _relation(facts, relation, frames)))
    return verdicts


def all_hold(verdicts: Sequence[Verdict]) -> bool:
    """The headline of a benchmark: everything that the caption states is shown."""
    return all(verdict.holds for verdict in verdicts)


def has_extras(facts: Facts, frames: Frames) -> bool:
    """Whether the median frame shows more of some noun of the facts than they name."""
    named = {noun: sum(s.count for s in facts.subjects if s.noun == noun) for noun in facts.nouns}
    return any(float(np.median([len(row) for row in of_noun(frames, noun)])) > count for noun, count in named.items())


def _subject(subject: Subject, frames: Frames, total: int) -> dict[FactName, bool]:
    found = of_noun(frames, subject.noun)
    seen = [i for i, row in enumerate(found) if row]
    least = 4 if subject.passage else 2  # what comes or goes is away for a part of the time
    verdicts: dict[FactName, bool] = {"presence": len(seen) >= len(frames) / least}
    if subject.counted:
        verdicts["count"] = float(np.median([len(row) for row in found])) == total
    if subject.color is not None:
        verdicts["color"] = _has_color(found, subject.color)
    if subject.size is not None:
        sides = [_side(detection) for row in found for detection in row]
        side = float(np.median(sides)) if sides else 0.0
        verdicts["size"] = side >= BIG if subject.size == "big" else 0 < side <= SMALL
    if subject.path:
        verdicts |= _motion(subject, found)
    return verdicts


def _motion(subject: Subject, found: list[list[Detection]]) -> dict[FactName, bool]:
    places = _places(found, many=subject.count > 1)
    if subject.passage:
        return {
            "passage": _passes(subject, found),
            "direction": direction_of_path(places, least=0.08) == subject.path[0],
        }
    if subject.zigzag:
        return {"zigzag": is_zigzag(places, subject.path[0])}
    if len(places) < len(found) / 2:
        return {"turn" if len(subject.path) > 1 else "direction": False}
    if len(subject.path) > 1:
        return {"turn": is_turn(places, subject.path)}
    moves = direction_of_path(places) == subject.path[0]
    if subject.count > 1:
        moves = moves and _all_move(found, subject.path[0])
    return {"direction": moves}


def _all_move(found: list[list[Detection]], direction: Direction) -> bool:
    """The first and the last of a group both get along: none of it is left behind."""
    axis, sign = (0 if direction in ("left", "right") else 1), (1 if direction in ("right", "down") else -1)
    ends = np.array([(min(places), max(places)) for row in found if (places := [_center(d)[axis] for d in row])])
    return bool((sign * (ends[-2:].mean(0) - ends[:2].mean(0)) >= 0.1).all())


def _center(detection: Detection) -> tuple[float, float]:
    x0, y0, x1, y1 = detection.box
    return (x0 + x1) / 2, (y0 + y1) / 2


def _places(found: list[list[Detection]], many: bool) -> np.ndarray:
    """``(n, 2)``: in each frame with any, the middle of all of them, or of the surest one."""
    rows = []
    for row in found:
        if row:
            taken = row if many else [max(row, key=lambda detection: detection.score)]
            rows.append(np.mean([_center(detection) for detection in taken], 0))
    return np.array(rows).reshape(-1, 2)


def _passes(subject: Subject, found: list[list[Detection]]) -> bool:
    """Absent in the first frame and present in the last two, or the other way around."""
    rows = found if subject.passage == "enters" else found[::-1]
    return not rows[0] and bool(rows[-1]) and bool(rows[-2])


def _has_color(found: list[list[Detection]], color: str) -> bool:
    """In most of the frames with the noun, one of it has the color."""
    seen = [row for row in found if row]
    return bool(seen) and sum(any(d.color == color for d in row) for row in seen) > len(seen) / 2


def _side(detection: Detection) -> float:
    """The side of the sprite in pixels."""
    x0, y0, x1, y1 = detection.box
    width, height = extents()[detection.noun]
    return float(max((x1 - x0) * WIDTH / width, (y1 - y0) * HEIGHT / height))


def _relation(facts: Facts, relation: Relation, frames: Frames) -> bool:
    """In at least half of the frames; all of a counted group must be on that side of some of the second."""
    first, second = facts.subjects[relation.first], facts.subjects[relation.second]
    related = _passes_by if first.path else _related
    shares = [related(_standing(frame, first), _standing(frame, second), relation) for frame in frames]
    return sum(shares) >= len(frames) / 2


def _passes_by(first: list[Detection], second: list[Detection], relation: Relation) -> bool:
    """A mover is on the side by its axis alone: above a tree it is also while it is far to the left of it."""
    axis = 0 if relation.side in ("left", "right") else 1
    sign = -1 if relation.side in ("left", "above") else 1
    return any(sign * (_center(a)[axis] - _center(b)[axis]) > 0 for a in first for b in second if b is not a)


def _standing(frame: Sequence[Detection], subject: Subject) -> list[Detection]:
    same = [detection for detection in frame if detection.noun == subject.noun]
    return [d for d in same if subject.color is None or d.color == subject.color]


def _related(first: list[Detection], second: list[Detection], relation: Relation) -> bool:
    if not first or not second:
        return False
    assert relation.side in SIDES
    if relation.side == "between":
        x = [_center(detection)[0] for detection in second]
        return any(min(x) < _center(one)[0] < max(x) for one in first)
    sides = ("left", "right") if relation.loose else (relation.side,)
    return all(any(is_beside(a.box, b.box, side) for b in second if b is not a for side in sides) for a in first)
