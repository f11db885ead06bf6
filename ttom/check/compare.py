"""A video compared with its layout: what was found is matched to what was planned, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ttom.check.finders import Box, Finder, Found
from ttom.check.report import CheckReport, ObjectCheck, Problem
from ttom.emojiworld.metrics import direction_of, iou
from ttom.layout.english import singular
from ttom.layout.model import Layout, LayoutObject

MOVED = 0.1
"""Displacement, in shares of the picture, from which on something moves."""
WANDERS = 0.25
"""The same for an object that was to stand still: it may drift a little."""
ELSEWHERE = 0.1
"""Mean IoU with its boxes below which an object is not where it was planned."""
ASIDE = math.cos(math.radians(50))
"""Cosine between the planned and the seen displacement, from which on they have one direction."""


def check_video(layout: Layout, video: np.ndarray, finder: tuple[str, Finder], seed: int) -> CheckReport:
    """Compare a video with its layout.

    Args:
        layout: The plan.
        video: uint8 ``(T, height, width, 3)``.
        finder: A detector with its name.
        seed: The video's, for the report.
    """
    name, find = finder
    nouns = list(dict.fromkeys(singular(item.noun) for item in layout.objects))
    frames = find(video, nouns)
    places = match(layout, frames)
    objects = tuple(_check(item, places[item.id]) for item in layout.objects)
    return CheckReport(detector=name, objects=objects, extra=_extra(layout, frames), seed=seed)


def best(reports: Sequence[CheckReport]) -> int:
    """Index of the video that follows the plan best; the first of equals."""
    scores = [report.score for report in reports]
    return scores.index(max(scores))


@dataclass(frozen=True)
class Place:
    """A planned object in a frame: its time, its planned box, and the box that was found for it, if any."""

    time: float
    planned: Box
    found: Box | None


def match(layout: Layout, frames: Sequence[Sequence[Found]]) -> dict[str, list[Place]]:
    """For each object the frames in which it is planned, with what was found for it.

    In each frame the boxes of a noun are matched one to one, so that the sum of the distances between centers is least.
    """
    places: dict[str, list[Place]] = {item.id: [] for item in layout.objects}
    for i, frame in enumerate(frames):
        time = i / max(len(frames) - 1, 1)
        for noun in {singular(item.noun) for item in layout.objects}:
            planned = _planned(layout, noun, time)
            found = [one.box for one in frame if one.noun == noun]
            table = [[math.dist(_center(box), _center(other)) for other in found] for _, box in planned]
            pairs = dict(zip(*linear_sum_assignment(table), strict=True)) if planned and found else {}
            for n, (item, box) in enumerate(planned):
                places[item.id].append(Place(time, box, found[pairs[n]] if n in pairs else None))
    return places


def _planned(layout: Layout, noun: str, time: float) -> list[tuple[LayoutObject, Box]]:
    boxes = ((item, item.box_at(time)) for item in layout.objects if singular(item.noun) == noun)
    return [(item, (box.x0, box.y0, box.x1, box.y1)) for item, box in boxes if box is not None]


def _center(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _check(item: LayoutObject, places: list[Place]) -> ObjectCheck:
    seen = [place for place in places if place.found is not None]
    legs = _legs(item)
    if _agree(seen, legs) and not _agree(seen, _whole(legs)):
        legs = _whole(legs)
    moved = [_move(seen, start, end) for start, end, _ in legs]
    overlap = float(np.mean([iou(place.planned, place.found) if place.found else 0.0 for place in places] or [0.0]))
    problem: Problem | None = None
    if len(seen) < max(len(places) / 2, 1):
        problem = "missing"
    elif any(math.hypot(*way) < MOVED for way in moved):
        problem = "still"
    elif not _agree(seen, legs):
        problem = "direction"
    elif not legs and math.hypot(*_move(seen, 0.0, 1.0)) >= WANDERS:
        problem, moved = "moves", [_move(seen, 0.0, 1.0)]
    elif overlap < ELSEWHERE:
        problem = "elsewhere"
    return ObjectCheck(
        id=item.id,
        phrase=item.phrase,
        noun=singular(item.noun),
        seen=round(len(seen) / max(len(places), 1), 4),
        iou=round(overlap, 4),
        planned=tuple(direction for _, _, way in legs if (direction := direction_of(*way, least=0.0)) is not None),
        moved=tuple(direction_of(*way, least=MOVED) for way in moved),
        problem=problem,
    )


Leg = tuple[float, float, tuple[float, float]]
"""A straight part of a path: first and last time, and displacement in shares of the picture."""


def _legs(item: LayoutObject) -> list[Leg]:
    """The parts of its path with one direction; only what really moves."""
    first, last = item.visible
    times = sorted({first, last, *(frame.time for frame in item.key_frames if first < frame.time < last)})
    points = [box.center for time in times if (box := item.box_at(time)) is not None]
    legs: list[Leg] = []
    for i in range(len(points) - 1):
        way = (points[i + 1][0] - points[i][0], points[i + 1][1] - points[i][1])
        if legs and direction_of(*way, least=0.0) == direction_of(*legs[-1][2], least=0.0):
            start, _, before = legs.pop()
            legs.append((start, times[i + 1], (before[0] + way[0], before[1] + way[1])))
        elif way != (0.0, 0.0):
            legs.append((times[i], times[i + 1], way))
    return [leg for leg in legs if math.hypot(*leg[2]) >= MOVED]


def _whole(legs: list[Leg]) -> list[Leg]:
    """A path of several legs as one, if it leads somewhere: a zigzag's legs alone do not tell where to."""
    way = (sum(leg[2][0] for leg in legs), sum(leg[2][1] for leg in legs))
    return [(legs[0][0], legs[-1][1], way)] if len(legs) > 1 and math.hypot(*way) >= MOVED else []


def _move(seen: list[Place], start: float, end: float) -> tuple[float, float]:
    """Displacement from the first two to the last two frames of a time in which the object is found."""
    centers = [_center(place.found) for place in seen if place.found and start <= place.time <= end]
    if len(centers) < 2:
        return 0.0, 0.0
    few = min(2, len(centers) // 2)
    first, last = np.mean(centers[:few], axis=0), np.mean(centers[-few:], axis=0)
    return float(last[0] - first[0]), float(last[1] - first[1])


def _agree(seen: list[Place], legs: list[Leg]) -> bool:
    """Whether what is seen of the legs has their directions; true of no leg."""
    for start, end, way in legs:
        move = _move(seen, start, end)
        product = move[0] * way[0] + move[1] * way[1]
        if product < ASIDE * math.hypot(*move) * math.hypot(*way):
            return False
    return True


def _extra(layout: Layout, frames: Sequence[Sequence[Found]]) -> dict[str, int]:
    extra = {}
    for noun in dict.fromkeys(singular(item.noun) for item in layout.objects):
        more = [
            sum(one.noun == noun for one in frame) - len(_planned(layout, noun, i / max(len(frames) - 1, 1)))
            for i, frame in enumerate(frames)
        ]
        if (number := int(np.median(more))) > 0:
            extra[noun] = number
    return extra
