"""Boxes of scenes with motion. Each mover and each still object has a lane of its own, so boxes never overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ttom.layout.model import KeyFrame
from ttom.layout.rules.cues import Step
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import Mover
from ttom.layout.rules.parse import Scene
from ttom.layout.rules.relations import RelationKind
from ttom.layout.rules.squares import JITTER, PICTURE, Path, Region, Squares, shifted
from ttom.layout.rules.still import Placed

_MARGIN_X, _MARGIN_Y = 0.04, 0.015
_BLOCK = 0.6  # share of its lane that a mover, or a group that moves together, may fill; the rest is room to move
_REFERENCE_BAND = 0.38  # share of the height for the thing that something rises above or sinks below
_FREE = 0.6  # share of the picture for movers on both axes where other things need room too

Kinds = dict[Mention, RelationKind]
"""How a mover is related to each still object."""


@dataclass(frozen=True)
class _Lane:
    """A part of the picture for one thing, or for two if one chases the other. Without a mover it is still."""

    mover: Mover | None
    mentions: tuple[Mention, ...]
    region: Region

    def cells(self, squares: Squares) -> list[list[Region]]:
        """A cell for each object of each mention, at the start of the lane; the first mention is the one behind."""
        if self.mover is None:
            block = self.region
        else:
            block = self.region
            if self.mover.axis != "y":
                block = block.split([_BLOCK, 1 - _BLOCK], rows=False)[0]
            if self.mover.axis != "x":
                block = block.split([_BLOCK, 1 - _BLOCK], rows=True)[0]
        if len(self.mentions) == 1:
            return [squares.cells(block, self.mentions[0].count)]
        assert self.mover is not None
        x, y = self.mover.legs[0]
        ordered = self.mentions if x + y > 0 else self.mentions[::-1]
        parts = block.split([mention.count for mention in ordered], rows=x == 0)
        cells = {mention: squares.cells(part, mention.count) for mention, part in zip(ordered, parts, strict=True)}
        return [cells[mention] for mention in self.mentions]


def moving(squares: Squares, scene: Scene) -> Placed:
    """Boxes of all movers and still things of a scene."""
    movers = _with_chased(scene.movers)
    across = _stacked([mover for mover in movers if mover.axis == "x"], scene)
    along = [mover for mover in movers if mover.axis == "y"]
    free = [mover for mover in movers if mover.axis == "xy"]
    kinds = {relation.reference: relation.kind for relation in reversed(scene.relations)}  # the strongest stays
    if free:
        return _fill(squares, _free_lanes(free, across, along, scene, kinds))
    if across and along:  # vertical movers get columns on the right, the others rows in what remains
        share = min(0.5, 0.3 * len(along))
        rest, columns = PICTURE.split([1 - share, share], rows=False)
        return _fill(squares, _lanes(rest, across, scene, kinds) + _lanes(columns, along, None, {}))
    band = kinds.get(scene.statics[0]) if len(along) == len(scene.statics) == 1 else None
    if band in ("above", "below"):
        return _fill(squares, _banded(along[0], scene.statics[0], above=band == "above"))
    return _fill(squares, _lanes(PICTURE, across or along, scene, kinds))


def _with_chased(movers: Sequence[Mover]) -> list[Mover]:
    """The movers without those that another mover chases along the same path, which share its lane."""
    chased = {mover.behind: mover.legs for mover in movers if mover.behind is not None and mover.axis != "xy"}
    return [mover for mover in movers if chased.get(mover.mention) != mover.legs]


def _stacked(movers: list[Mover], scene: Scene) -> list[Mover]:
    """Sideways movers from top to bottom: flying ones first, then in reading order, except that a mover below another
    comes after it.
    """
    ordered = sorted(movers, key=lambda mover: mover.mention not in scene.high)
    for relation in scene.relations:
        pair = [next((m for m in ordered if m.mention == end), None) for end in (relation.subject, relation.reference)]
        upper, lower = pair if relation.kind in ("above", "on") else reversed(pair)
        if relation.kind in ("above", "on", "below") and upper is not None and lower is not None:
            ordered.remove(upper)
            ordered.insert(ordered.index(lower), upper)
    return ordered


# -- lanes ------------------------------------------------------------------------------------------------------------


def _lanes(region: Region, movers: Sequence[Mover], scene: Scene | None, kinds: Kinds) -> list[_Lane]:
    """Rows for sideways movers, columns for vertical ones; things above or left of others get the earlier lane."""
    rows = movers[0].axis == "x"
    order: list[tuple[Mover | None, Mention]] = [(mover, mover.mention) for mover in movers]
    first = ("below",) if rows else ("right",)
    last = ("above", "on") if rows else ("left",)
    before: list[tuple[Mover | None, Mention]] = []
    for thing in scene.statics if scene is not None else ():
        kind = kinds.get(thing)
        low = kind is None and any(mover.mention in scene.high for mover in movers) if scene is not None else False
        if kind in first or (rows and kind not in last and not low):
            before.append((None, thing))
        else:
            order.append((None, thing))
    order = before + order
    weights = [math.sqrt(mention.count) for _, mention in order]
    lanes = []
    for (mover, mention), lane in zip(order, region.split(weights, rows=rows), strict=True):
        if rows and kinds.get(mention) == "toward":  # the goal waits at the far end
            lane = _far_end(lane, movers[0].legs[0])
        if not rows and mover is None and scene is not None and mention in scene.high:
            lane = lane.split([1, 1], rows=True)[0]
        lanes.append(_lane(mover, mention, lane))
    return lanes


def _lane(mover: Mover | None, mention: Mention, region: Region) -> _Lane:
    behind = mover.behind if mover is not None and mover.axis != "xy" else None
    return _Lane(mover, (mention,) if behind is None else (mention, behind), region)


def _free_lanes(
    free: Sequence[Mover], across: Sequence[Mover], along: Sequence[Mover], scene: Scene, kinds: Kinds
) -> list[_Lane]:
    """Movers on both axes and vertical movers side by side, and everything else in rows above or below them."""
    related = {kinds[thing] for thing in scene.statics if thing in kinds}
    if not across and not scene.statics:
        return _beside(PICTURE, [*free, *along])
    if "below" in related or any(mover.mention in scene.high for mover in across):
        rest, room = PICTURE.split([1 - _FREE, _FREE], rows=True)
    else:
        room, rest = PICTURE.split([_FREE, 1 - _FREE], rows=True)
    lanes = _beside(room, [*free, *along])
    if across:
        return _lanes(rest, across, scene, kinds) + lanes
    parts = rest.split([thing.count for thing in scene.statics], rows=False)
    return [_Lane(None, (thing,), part) for thing, part in zip(scene.statics, parts, strict=True)] + lanes


def _beside(region: Region, movers: Sequence[Mover]) -> list[_Lane]:
    parts = region.split([1] * len(movers), rows=False)
    return [_lane(mover, mover.mention, part) for mover, part in zip(movers, parts, strict=True)]


def _banded(mover: Mover, thing: Mention, *, above: bool) -> list[_Lane]:
    """The thing that something rises above or sinks below gets the smaller part of the height."""
    still, room = PICTURE.split([_REFERENCE_BAND, 1 - _REFERENCE_BAND], rows=True)
    if above:
        room, still = PICTURE.split([1 - _REFERENCE_BAND, _REFERENCE_BAND], rows=True)
    return [_lane(mover, mover.mention, room), _Lane(None, (thing,), still)]


def _far_end(lane: Region, step: Step) -> Region:
    parts = lane.split([1, 1], rows=False)
    return parts[1] if step[0] > 0 else parts[0]


# -- boxes ------------------------------------------------------------------------------------------------------------


def _fill(squares: Squares, lanes: Sequence[_Lane]) -> Placed:
    cells = [lane.cells(squares) for lane in lanes]
    size = squares.fit([cell for lane in cells for group in lane for cell in group], squares.size(1))
    placed: Placed = []
    for lane, groups in zip(lanes, cells, strict=True):
        paths = [squares.still(group, size) for group in groups]
        if lane.mover is not None:
            paths = _travel(squares, paths, lane.region, lane.mover.legs)
        placed += zip(lane.mentions, paths, strict=True)
    return placed


def _travel(squares: Squares, groups: list[list[Path]], lane: Region, legs: Sequence[Step]) -> list[list[Path]]:
    """Move the boxes through the lane, keeping their relative positions; each leg takes the same time."""
    boxes = [path[0].box for paths in groups for path in paths]
    slack = squares.rng.uniform(0, JITTER), squares.rng.uniform(0, JITTER)
    room = (
        (lane.x0 + _MARGIN_X - min(box.x0 for box in boxes), lane.x1 - _MARGIN_X - max(box.x1 for box in boxes)),
        (lane.y0 + _MARGIN_Y - min(box.y0 for box in boxes), lane.y1 - _MARGIN_Y - max(box.y1 for box in boxes)),
    )
    shifts = list(zip(*(_shifts([leg[axis] for leg in legs], *room[axis], slack) for axis in (0, 1)), strict=True))
    return [
        [
            tuple(
                KeyFrame(time=number / len(legs), box=shifted(path, *shift)[0].box)
                for number, shift in enumerate(shifts)
            )
            for path in paths
        ]
        for paths in groups
    ]


def _shifts(signs: list[int], low: float, high: float, slack: tuple[float, float]) -> list[float]:
    """Shifts along one axis before the first leg and after each: from end to end where the leg's sign says so.

    The last end is missed by the second slack, the others by the first.
    """
    first = next((sign for sign in signs if sign), 0)
    if first == 0:
        return [0.0] * (len(signs) + 1)
    ends = [-first]
    for sign in signs:
        ends.append(sign or ends[-1])
    slacks = [slack[0]] * len(signs) + [slack[1]]
    return [high - less if end > 0 else low + less for end, less in zip(ends, slacks, strict=True)]
