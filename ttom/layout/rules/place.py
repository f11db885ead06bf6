"""From a parsed scene to boxes. Lengths are shares of the picture; ``aspect`` is picture width / height."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ttom.layout.model import Box, KeyFrame
from ttom.layout.rules.cells import Cell
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import Mover
from ttom.layout.rules.parse import Scene
from ttom.layout.rules.reading import Direction
from ttom.layout.rules.relations import Relation, RelationKind

_SIDE = 0.327  # side of a single square: root of its share of the picture; 0.27 wide and 0.40 high at aspect 1.5
_CROWDING = 0.067  # each further object makes all of them this much smaller: six are 0.30 high at aspect 1.5
_FILL = 0.8  # share of its cell that a box may take; the rest keeps neighbours apart
_JITTER = 0.015
_MARGIN_X, _MARGIN_Y = 0.04, 0.015
_BLOCK = 0.6  # share of its lane that a mover, or a group that moves as one, may take: the rest is its way
_REFERENCE_BAND = 0.38  # share of the height for a thing that something rises above or sinks below

Path = tuple[KeyFrame, ...]
Placed = list[tuple[Mention, list[Path]]]


@dataclass(frozen=True)
class _Region:
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def split(self, weights: Sequence[float], *, rows: bool) -> list[_Region]:
        """Bands from top to bottom (rows) or from left to right, as thick as the weights say."""
        bands, start = [], 0.0
        for weight in weights:
            end = start + weight / sum(weights)
            if rows:
                bands.append(_Region(self.x0, self.y0 + start * self.height, self.x1, self.y0 + end * self.height))
            else:
                bands.append(_Region(self.x0 + start * self.width, self.y0, self.x0 + end * self.width, self.y1))
            start = end
        return bands


_PICTURE = _Region(0.0, 0.0, 1.0, 1.0)


def place(scene: Scene, *, aspect: float, seed: int) -> Placed:
    """Boxes over time for every mention of the scene, in reading order; as many paths as the mention counts.

    No two boxes overlap, except for "in front of" and "behind". The same scene, aspect and seed give the same boxes.
    """
    placer = _Placer(aspect, random.Random(seed))
    if scene.movers:
        placed = placer.motion(scene)
    elif len(scene.relations) == 1 and len(scene.cells) == 2 and scene.relations[0].kind in ("in front of", "behind"):
        placed = placer.in_depth(scene.relations[0])
    elif scene.cells:
        placed = placer.related(scene.cells, scene.relations)
    else:
        placed = placer.counted(scene.statics)
    return sorted(placed, key=lambda item: item[0].first)


class _Placer:
    def __init__(self, aspect: float, rng: random.Random) -> None:
        self.aspect, self.rng = aspect, rng

    # -- still boxes ----------------------------------------------------------------------------------------------

    def _size(self, count: int) -> tuple[float, float]:
        """Width and height of a box, square in pixels, for this many objects in the picture."""
        side = _SIDE / (1 + _CROWDING * (count - 1))
        # In a very wide or tall picture the square is held to 0.6 of the shorter side.
        height = min(side * math.sqrt(self.aspect), 0.6, 0.6 * self.aspect)
        return height / self.aspect, height

    def _cells(self, region: _Region, count: int) -> list[_Region]:
        """A grid of at least ``count`` cells with the largest squares; the cells of a short last row are centred."""

        def smallest(columns: int) -> float:
            rows = math.ceil(count / columns)
            return min(region.width / columns * self.aspect, region.height / rows)

        columns = max(range(1, count + 1), key=smallest)
        rows = math.ceil(count / columns)
        cells: list[_Region] = []
        for row in region.split([1] * rows, rows=True):
            missing = max(0, columns - (count - len(cells)))
            shift = missing * region.width / columns / 2
            centred = _Region(row.x0 + shift, row.y0, row.x1 - shift, row.y1)
            cells += centred.split([1] * (columns - missing), rows=False)
        return cells

    def _fit(self, cells: Sequence[_Region], size: tuple[float, float]) -> tuple[float, float]:
        """The size, shrunk in proportion until it fits all cells."""
        shrink = min(1.0, *(min(_FILL * c.width / size[0], _FILL * c.height / size[1]) for c in cells))
        return size[0] * shrink, size[1] * shrink

    def _jitter(self, slack: float) -> float:
        limit = max(0.0, min(_JITTER, 0.4 * slack))
        return self.rng.uniform(-limit, limit)

    def _center_in(self, cell: _Region, size: tuple[float, float]) -> tuple[float, float]:
        x = (cell.x0 + cell.x1) / 2 + self._jitter((cell.width - size[0]) / 2)
        y = (cell.y0 + cell.y1) / 2 + self._jitter((cell.height - size[1]) / 2)
        return x, y

    def _still(self, cells: Sequence[_Region], size: tuple[float, float]) -> list[Path]:
        return [(KeyFrame(time=0.0, box=_box(self._center_in(cell, size), size)),) for cell in cells]

    def counted(self, mentions: Sequence[Mention]) -> Placed:
        """Each kind in its own part of the picture, all boxes of one size, whichever split allows larger ones."""
        counts = [mention.count for mention in mentions]
        size = self._size(sum(counts))
        splits = []
        for rows in (False, True):
            regions = _PICTURE.split(counts, rows=rows)
            splits.append([self._cells(region, count) for region, count in zip(regions, counts, strict=True)])
        groups = max(splits, key=lambda cells: self._fit([cell for group in cells for cell in group], size)[0])
        size = self._fit([cell for group in groups for cell in group], size)
        return [(mention, self._still(cells, size)) for mention, cells in zip(mentions, groups, strict=True)]

    def related(self, cells: dict[Mention, Cell], relations: Sequence[Relation]) -> Placed:
        """Each kind in its cell of the picture; what stands on a thing touches it."""
        # The middle, 0, belongs to the grid also where an only object stands beside it ("a cat on the left").
        columns, rows = (range(min(0, *numbers), 1 + max(0, *numbers)) for numbers in zip(*cells.values(), strict=True))
        regions = {}
        for band, row in zip(_PICTURE.split([1] * len(rows), rows=True), rows, strict=True):
            for region, column in zip(band.split([1] * len(columns), rows=False), columns, strict=True):
                regions[column, row] = region
        grids = {mention: self._cells(regions[cell], mention.count) for mention, cell in cells.items()}
        size = self._size(sum(mention.count for mention in cells))
        size = self._fit([cell for grid in grids.values() for cell in grid], size)
        paths = {mention: self._still(grid, size) for mention, grid in grids.items()}
        for relation in relations:
            subject, reference = relation.subject, relation.reference
            (column, row), (other_column, other_row) = cells[subject], cells[reference]
            above = column == other_column and row + 1 == other_row
            if relation.kind == "on" and above and subject.count == reference.count == 1:
                gap = paths[reference][0][0].box.y0 - paths[subject][0][0].box.y1 - 0.01
                paths[subject] = [_shift(paths[subject][0], 0.0, gap / 2)]
                paths[reference] = [_shift(paths[reference][0], 0.0, -gap / 2)]
        return list(paths.items())

    def in_depth(self, relation: Relation) -> Placed:
        """The nearer object lower in the picture; a quarter of the boxes' width overlaps."""
        front, reference = relation.kind == "in front of", relation.reference
        left, right = _PICTURE.split([1, 1], rows=False)
        cells = [self._cells(left, relation.subject.count), self._cells(right, reference.count)]
        size = self._fit([*cells[0], *cells[1]], self._size(relation.subject.count + reference.count))
        placed: Placed = []
        for mention, group, nearer in ((relation.subject, cells[0], front), (reference, cells[1], not front)):
            paths = self._still(group, size)
            boxes = [path[0].box for path in paths]
            edge = max(b.x1 for b in boxes) if mention is relation.subject else min(b.x0 for b in boxes)
            overlap = size[0] / 8 if mention is relation.subject else -size[0] / 8
            room = (1 - max(b.y1 for b in boxes)) if nearer else min(b.y0 for b in boxes)
            dx, dy = 0.5 + overlap - edge, min(0.04, room) * (1 if nearer else -1)
            placed.append((mention, [_shift(path, dx, dy) for path in paths]))
        return placed

    # -- motion ---------------------------------------------------------------------------------------------------

    def motion(self, scene: Scene) -> Placed:
        """Each mover and each still object in a lane of its own, so that nothing ever overlaps."""
        across = _stacked([m for m in scene.movers if m.direction in ("left", "right")], scene.relations)
        along = [mover for mover in scene.movers if mover.direction in ("up", "down")]
        kinds = {relation.reference: relation.kind for relation in reversed(scene.relations)}  # the strongest stays
        if across and along:  # risers get columns at the right, the others rows in what remains
            share = min(0.5, 0.3 * len(along))
            rest, columns = _PICTURE.split([1 - share, share], rows=False)
            lanes = self._lanes(rest, across, scene.statics, kinds)
            return self._fill(lanes + self._lanes(columns, along, (), {}))
        movers = across or along
        stacked = kinds.get(scene.statics[0]) if len(along) == len(scene.statics) == 1 else None
        if stacked in ("above", "below"):
            thing, room = _PICTURE.split([_REFERENCE_BAND, 1 - _REFERENCE_BAND], rows=True)
            if stacked == "above":
                room, thing = _PICTURE.split([1 - _REFERENCE_BAND, _REFERENCE_BAND], rows=True)
            return self._fill([(along[0], along[0].mention, room), (None, scene.statics[0], thing)])
        return self._fill(self._lanes(_PICTURE, movers, scene.statics, kinds))

    def _lanes(
        self, region: _Region, movers: Sequence[Mover], statics: Sequence[Mention], kinds: dict[Mention, RelationKind]
    ) -> list[tuple[Mover | None, Mention, _Region]]:
        """Rows for movers to the side, columns for risers; what is above or left of another gets the earlier lane.

        ``kinds``: how a mover is related to a still object.
        """
        rows = movers[0].direction in ("left", "right")
        order: list[tuple[Mover | None, Mention]] = [(mover, mover.mention) for mover in movers]
        first = ("below",) if rows else ("right",)
        last = ("above", "on") if rows else ("left",)
        before: list[tuple[Mover | None, Mention]] = []
        for thing in statics:
            kind = kinds.get(thing)
            if kind in first or (rows and kind not in last):
                before.append((None, thing))
            else:
                order.append((None, thing))
        order = before + order
        lanes = region.split([math.sqrt(mention.count) for _, mention in order], rows=rows)
        cells = [(mover, mention, lane) for (mover, mention), lane in zip(order, lanes, strict=True)]
        if not rows:
            return cells
        return [  # the goal waits at the far end
            (mover, mention, _far_end(lane, movers[0].direction) if kinds.get(mention) == "toward" else lane)
            for mover, mention, lane in cells
        ]

    def _fill(self, lanes: Sequence[tuple[Mover | None, Mention, _Region]]) -> Placed:
        groups = [self._cells(_start_block(lane, mover), mention.count) for mover, mention, lane in lanes]
        size = self._fit([cell for cells in groups for cell in cells], self._size(1))
        placed: Placed = []
        for (mover, mention, lane), cells in zip(lanes, groups, strict=True):
            paths = self._still(cells, size)
            placed.append((mention, paths if mover is None else self._travel(paths, lane, mover.direction)))
        return placed

    def _travel(self, paths: list[Path], lane: _Region, direction: Direction) -> list[Path]:
        """Move the boxes together from one end of the lane to the other, keeping their places among each other."""
        boxes = [path[0].box for path in paths]
        start_slack, end_slack = self.rng.uniform(0, _JITTER), self.rng.uniform(0, _JITTER)
        if direction in ("left", "right"):
            low = lane.x0 + _MARGIN_X - min(box.x0 for box in boxes)
            high = lane.x1 - _MARGIN_X - max(box.x1 for box in boxes)
        else:
            low = lane.y0 + _MARGIN_Y - min(box.y0 for box in boxes)
            high = lane.y1 - _MARGIN_Y - max(box.y1 for box in boxes)
        forward = direction in ("right", "down")
        start = low + start_slack if forward else high - start_slack
        end = high - end_slack if forward else low + end_slack
        moved = []
        for path in paths:
            frames = []
            for time, shift in ((0.0, start), (1.0, end)):
                dx, dy = (shift, 0.0) if direction in ("left", "right") else (0.0, shift)
                frames.append(KeyFrame(time=time, box=_shift(path, dx, dy)[0].box))
            moved.append(tuple(frames))
        return moved


def _stacked(movers: list[Mover], relations: Sequence[Relation]) -> list[Mover]:
    """Movers to the side from top to bottom: in reading order, but one that passes below another comes after it."""
    ordered = list(movers)
    for relation in relations:
        pair = [next((m for m in ordered if m.mention == end), None) for end in (relation.subject, relation.reference)]
        upper, lower = pair if relation.kind in ("above", "on") else reversed(pair)
        if relation.kind in ("above", "on", "below") and upper is not None and lower is not None:
            ordered.remove(upper)
            ordered.insert(ordered.index(lower), upper)
    return ordered


def _start_block(lane: _Region, mover: Mover | None) -> _Region:
    """The part of the lane that sets a mover's size, so that the rest is left to travel."""
    if mover is None:
        return lane
    return lane.split([_BLOCK, 1 - _BLOCK], rows=mover.direction in ("up", "down"))[0]


def _far_end(lane: _Region, direction: Direction) -> _Region:
    parts = lane.split([1, 1], rows=False)
    return parts[1] if direction == "right" else parts[0]


def _box(center: tuple[float, float], size: tuple[float, float]) -> Box:
    (x, y), (width, height) = center, size
    return Box(
        x0=round(x - width / 2, 4), y0=round(y - height / 2, 4), x1=round(x + width / 2, 4), y1=round(y + height / 2, 4)
    )


def _shift(path: Path, dx: float, dy: float) -> Path:
    return tuple(
        KeyFrame(
            time=frame.time,
            box=Box(
                x0=round(frame.box.x0 + dx, 4),
                y0=round(frame.box.y0 + dy, 4),
                x1=round(frame.box.x1 + dx, 4),
                y1=round(frame.box.y1 + dy, 4),
            ),
        )
        for frame in path
    )
