"""When a planned layout satisfies the metadata of T2V-CompBench V2.

A prompt counts as right when

- motion: each object of the metadata has a layout object whose box center moves in the metadata's direction from the
  first to the last moment at which it is in the picture: the net displacement on that axis has the right sign, is at
  least 0.1 of the picture and larger than on the other axis;
- 2D relations (left, right, above, on, below, under; the benchmark's rule): on the dominant axis of the difference of
  the two groups' mean box centers, in normalized coordinates at time 0.5, object_1 lies on the said side of object_2;
- counts: for each object, exactly as many layout objects match as the metadata says.

A prompt that the planner refuses is wrong. "in front of" and "behind" have no 2D rule; it is only counted how many were
planned with both objects.

A layout object matches a metadata name if, last words put in the singular, the name is the end of the object's phrase
("balloon" of "red balloon") or of its noun, or the phrase is the end of the name ("airplane" for "paper airplane").
"""

from __future__ import annotations

from collections.abc import Callable

from ttom.errors import UserError
from ttom.layout.english import singular
from ttom.layout.model import Layout, LayoutObject
from ttom.layout.planning import Outcome
from ttom.statistics import wilson_interval

Item = dict[str, str]
MIN_DISPLACEMENT = 0.1
DEPTH = ("in front of", "behind")
AXES = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "on": (0, -1), "below": (0, 1), "under": (0, 1)}
MOTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def matches(name: str, item: LayoutObject) -> bool:
    """The matching rule of the module docstring."""
    wanted, phrase, noun = (singular(text).split() for text in (name, item.phrase, item.noun))
    return phrase[-len(wanted) :] == wanted or noun[-len(wanted) :] == wanted or wanted[-len(phrase) :] == phrase


def _matching(layout: Layout, name: str) -> list[LayoutObject]:
    return [item for item in layout.objects if matches(name, item)]


def _points(difference: tuple[float, float], axis: tuple[int, int]) -> bool:
    """Whether the difference points along the signed axis, and more along it than across."""
    along = difference[0] * axis[0] + difference[1] * axis[1]
    across = abs(difference[0] * axis[1]) + abs(difference[1] * axis[0])
    return along > across


def _center(items: list[LayoutObject], time: float) -> tuple[float, float]:
    """Mean center at the time; that of all objects' nearest visible moments where none is in the picture then."""
    boxes = [box for box in (item.box_at(time) for item in items) if box is not None]
    nearest = [item.box_at(min(max(time, item.visible[0]), item.visible[1])) for item in items]
    boxes = boxes or [box for box in nearest if box is not None]
    return sum(box.center[0] for box in boxes) / len(boxes), sum(box.center[1] for box in boxes) / len(boxes)


def motion_is_right(layout: Layout, item: Item) -> bool:
    for number in ("1", "2"):
        name, direction = item[f"object_{number}"].strip(), item[f"d_{number}"].strip()
        if not name:
            continue
        moved = False
        for found in _matching(layout, name):
            start, end = _center([found], 0.0), _center([found], 1.0)
            shift = (end[0] - start[0], end[1] - start[1])
            moved |= _points(shift, MOTIONS[direction]) and max(map(abs, shift)) >= MIN_DISPLACEMENT
        if not moved:
            return False
    return True


def relation_is_right(layout: Layout, item: Item) -> bool:
    first, second = _matching(layout, item["object_1"]), _matching(layout, item["object_2"])
    if not first or not second:
        return False
    if item["spatial"] in DEPTH:
        return True
    a, b = _center(first, 0.5), _center(second, 0.5)
    return _points((a[0] - b[0], a[1] - b[1]), AXES[item["spatial"]])


def count_is_right(layout: Layout, item: Item) -> bool:
    names, numbers = item["objects"].split(","), item["numbers"].split(",")
    return all(len(_matching(layout, n.strip())) == int(c) for n, c in zip(names, numbers, strict=True))


CATEGORIES: dict[str, tuple[str, Callable[[Layout, Item], bool], Callable[[Item], bool]]] = {
    "motion": ("motion_binding", motion_is_right, lambda item: True),
    "spatial_2d": ("spatial_relationships", relation_is_right, lambda item: item["spatial"] not in DEPTH),
    "numeracy": ("generative_numeracy", count_is_right, lambda item: True),
    "depth_planned": ("spatial_relationships", relation_is_right, lambda item: item["spatial"] in DEPTH),
}
QUOTED = ("motion", "spatial_2d", "numeracy")


def judge(outcome: Outcome, item: Item, is_right: Callable[[Layout, Item], bool]) -> str:
    """ "right", "wrong" or "refused"."""
    if isinstance(outcome, UserError):
        return "refused"
    return "right" if is_right(outcome.layout, item) else "wrong"


def wilson(right: int, total: int) -> list[float]:
    """95% Wilson score interval of a share, rounded; [0, 1] of nothing."""
    if total == 0:
        return [0.0, 1.0]
    low, high = wilson_interval(right, total)
    return [round(max(0.0, low), 4), round(min(1.0, high), 4)]
