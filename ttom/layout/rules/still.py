"""Boxes of still scenes: counted things, grids of related things, one thing in front of another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ttom.layout.rules.cells import Cell
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.relations import Relation
from ttom.layout.rules.squares import PICTURE, Path, Region, Squares, shifted

Placed = list[tuple[Mention, list[Path]]]


def counted(squares: Squares, mentions: Sequence[Mention], high: Collection[Mention] = ()) -> Placed:
    """Each kind in its own part of the picture, all boxes of one size; the split that allows larger boxes wins.

    High things go into the upper half, the others into the lower half.
    """
    counts = [mention.count for mention in mentions]
    size = squares.size(sum(counts))
    splits = []
    for rows in (True,) if high else (False, True):
        regions = _halves(mentions, high) if high else PICTURE.split(counts, rows=rows)
        splits.append([squares.cells(region, count) for region, count in zip(regions, counts, strict=True)])
    groups = max(splits, key=lambda cells: squares.fit([cell for group in cells for cell in group], size)[0])
    size = squares.fit([cell for group in groups for cell in group], size)
    return [(mention, squares.still(cells, size)) for mention, cells in zip(mentions, groups, strict=True)]


def _halves(mentions: Sequence[Mention], high: Collection[Mention]) -> list[Region]:
    """A column of the upper half for each high mention, and of the lower half for each other one."""
    regions: dict[Mention, Region] = {}
    for half, is_high in zip(PICTURE.split([1, 1], rows=True), (True, False), strict=True):
        there = [mention for mention in mentions if (mention in high) == is_high]
        regions |= zip(there, half.split([mention.count for mention in there], rows=False), strict=True)
    return [regions[mention] for mention in mentions]


def related(squares: Squares, cells: dict[Mention, Cell], relations: Sequence[Relation]) -> Placed:
    """Each kind in its cell of the picture; what stands on a thing touches it."""
    # The middle, 0, belongs to the grid also where an only object stands beside it ("a cat on the left").
    columns, rows = (range(min(0, *numbers), 1 + max(0, *numbers)) for numbers in zip(*cells.values(), strict=True))
    regions = {}
    for band, row in zip(PICTURE.split([1] * len(rows), rows=True), rows, strict=True):
        for region, column in zip(band.split([1] * len(columns), rows=False), columns, strict=True):
            regions[column, row] = region
    grids = {mention: squares.cells(regions[cell], mention.count) for mention, cell in cells.items()}
    size = squares.size(sum(mention.count for mention in cells))
    size = squares.fit([cell for grid in grids.values() for cell in grid], size)
    paths = {mention: squares.still(grid, size) for mention, grid in grids.items()}
    for relation in relations:
        subject, reference = relation.subject, relation.reference
        (column, row), (other_column, other_row) = cells[subject], cells[reference]
        above = column == other_column and row + 1 == other_row
        if relation.kind == "on" and above and subject.count == reference.count == 1:
            gap = paths[reference][0][0].box.y0 - paths[subject][0][0].box.y1 - 0.01
            paths[subject] = [shifted(paths[subject][0], 0.0, gap / 2)]
            paths[reference] = [shifted(paths[reference][0], 0.0, -gap / 2)]
    return list(paths.items())


def in_depth(squares: Squares, relation: Relation) -> Placed:
    """The nearer object lower in the picture; a quarter of the boxes' width overlaps."""
    front, reference = relation.kind == "in front of", relation.reference
    left, right = PICTURE.split([1, 1], rows=False)
    cells = [squares.cells(left, relation.subject.count), squares.cells(right, reference.count)]
    size = squares.fit([*cells[0], *cells[1]], squares.size(relation.subject.count + reference.count))
    placed: Placed = []
    for mention, group, nearer in ((relation.subject, cells[0], front), (reference, cells[1], not front)):
        paths = squares.still(group, size)
        boxes = [path[0].box for path in paths]
        edge = max(b.x1 for b in boxes) if mention is relation.subject else min(b.x0 for b in boxes)
        overlap = size[0] / 8 if mention is relation.subject else -size[0] / 8
        room = (1 - max(b.y1 for b in boxes)) if nearer else min(b.y0 for b in boxes)
        dx, dy = 0.5 + overlap - edge, min(0.04, room) * (1 if nearer else -1)
        placed.append((mention, [shifted(path, dx, dy) for path in paths]))
    return placed
