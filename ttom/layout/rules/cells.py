"""Several relations at once: each object gets a cell of a grid such that all relations hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ttom.errors import UserError
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import REMEDY
from ttom.layout.rules.relations import Place, Relation

Cell = tuple[int, int]
"""Column from left to right and row from top to bottom; both may be negative."""

_STEPS: dict[str, Cell] = {  # from the reference to the subject; what is nearer to the viewer stands lower
    "left": (-1, 0), "right": (1, 0), "beside": (-1, 0), "above": (0, -1), "on": (0, -1), "below": (0, 1),
    "in front of": (0, 1), "behind": (0, -1),
}  # fmt: skip


def arrange(
    relations: Sequence[Relation],
    places: Sequence[Place],
    others: Sequence[Mention],
    high: Collection[Mention] = (),
) -> dict[Mention, Cell]:
    """A cell for each object of the relations, the places and the others. Others go where there is room, and above
    everything else if they are high.

    Raises:
        UserError: the relations do not hold together ("a cat is left of a dog, and the dog is left of the cat").
    """
    cells = _by_relations(relations)
    if relations:  # what is "on the left" is left of all that is related
        for mention in others:
            if mention in high:
                cells[mention] = _free(cells, _beyond(cells, Place(mention, 0, -1, "")), (1, 0))
        for mention in others:
            cells.setdefault(mention, _at_right(cells))
        for place in places:
            cells[place.subject] = _beyond(cells, place)
    for place in places:
        if place.subject not in cells:
            cells[place.subject] = _free(cells, (place.column, place.row), (1, 0))
    for mention in others:  # in the middle
        if mention not in cells:
            cells[mention] = _free(cells, (0, 0), (0, 1))
    if len(cells) > 1:
        cells = _without_gaps(cells)
    _check(relations, cells)
    return cells


def _by_relations(relations: Sequence[Relation]) -> dict[Mention, Cell]:
    """Each related thing next to one that already has a cell, or further along if that cell is taken."""
    cells: dict[Mention, Cell] = {}
    pending = list(relations)
    while pending:
        relation = next((r for r in pending if r.subject in cells or r.reference in cells), pending[0])
        pending.remove(relation)
        x, y = _STEPS[relation.kind]
        if relation.subject not in cells and relation.reference not in cells:
            cells[relation.subject] = _at_right(cells)
        if relation.reference not in cells:
            column, row = cells[relation.subject]
            cells[relation.reference] = _free(cells, (column - x, row - y), (-x, -y))
        elif relation.subject not in cells:
            column, row = cells[relation.reference]
            cells[relation.subject] = _free(cells, (column + x, row + y), (x, y))
    return cells


def _beyond(cells: dict[Mention, Cell], place: Place) -> Cell:
    """The middle cell on the side that the place names, beyond all other cells."""
    columns, rows = zip(*cells.values(), strict=True)
    column = {-1: min(columns) - 1, 0: 0, 1: max(columns) + 1}[place.column]
    return column, {-1: min(rows) - 1, 0: 0, 1: max(rows) + 1}[place.row]


def _free(cells: dict[Mention, Cell], start: Cell, step: Cell) -> Cell:
    """The first free cell, starting from `start`."""
    column, row = start
    while (column, row) in cells.values():
        column, row = column + step[0], row + step[1]
    return column, row


def _at_right(cells: dict[Mention, Cell]) -> Cell:
    return (max(column for column, _ in cells.values()) + 1, 0) if cells else (0, 0)


def _without_gaps(cells: dict[Mention, Cell]) -> dict[Mention, Cell]:
    """The cells renumbered from 0, without empty columns and rows."""
    columns, rows = sorted({column for column, _ in cells.values()}), sorted({row for _, row in cells.values()})
    return {mention: (columns.index(column), rows.index(row)) for mention, (column, row) in cells.items()}


def _check(relations: Sequence[Relation], cells: dict[Mention, Cell]) -> None:
    """Raise UserError unless the objects of each relation are further apart along its axis than across it."""
    width, height = (1 + max(cell[axis] for cell in cells.values()) for axis in (0, 1))
    for relation in relations:
        x, y = _STEPS[relation.kind]
        (column, row), (other_column, other_row) = cells[relation.subject], cells[relation.reference]
        right, down = (column - other_column) / width, (row - other_row) / height
        along, across = right * x + down * y, abs(right * y) + abs(down * x)
        if along <= across:
            raise UserError(
                f"cannot plan all relations at once: {relation.subject.phrase!r} does not fit "
                f"{relation.text!r} {relation.reference.phrase!r} beside the others",
                expected="relations that hold together, each to the left, right, above or below",
                remedy=REMEDY,
            )
