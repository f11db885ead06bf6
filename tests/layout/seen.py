"""What tests of the rules planner see in a layout."""

from __future__ import annotations

from ttom.layout.model import Box, Layout

ASPECT = 1.5
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)


def summary(layout: Layout) -> dict[str, int]:
    """How many boxes each phrase has."""
    return {group.phrase.lower(): len(group.objects) for group in layout.groups()}


def boxes(layout: Layout, phrase: str, time: float) -> list[Box]:
    found = [item.box_at(time) for item in layout.objects if item.phrase.lower() == phrase]
    assert found, f"no {phrase!r} in {summary(layout)}"
    return [box for box in found if box is not None]


def center(layout: Layout, phrase: str, time: float = 0.5) -> tuple[float, float]:
    found = boxes(layout, phrase, time)
    return sum(b.center[0] for b in found) / len(found), sum(b.center[1] for b in found) / len(found)


def direction(layout: Layout, phrase: str) -> str:
    (x0, y0), (x1, y1) = center(layout, phrase, 0.0), center(layout, phrase, 1.0)
    if max(abs(x1 - x0), abs(y1 - y0)) < 0.1:
        return "still"
    if abs(x1 - x0) > abs(y1 - y0):
        return "right" if x1 > x0 else "left"
    return "down" if y1 > y0 else "up"


def overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0)) * max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
