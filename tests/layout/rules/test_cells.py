"""Objects in a grid, so that all relations hold."""

from __future__ import annotations

import pytest

from ttom.errors import UserError
from ttom.layout.rules.cells import arrange
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import Reading
from ttom.layout.rules.relations import Place, Relation, RelationKind

CAT, DOG, OWL = Reading("a cat, a dog and an owl").mentions


def relation(subject: Mention, kind: RelationKind, reference: Mention) -> Relation:
    return Relation(kind, subject, reference, kind)


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("left", {CAT: (0, 0), DOG: (1, 0)}),
        ("right", {CAT: (1, 0), DOG: (0, 0)}),
        ("above", {CAT: (0, 0), DOG: (0, 1)}),
        ("below", {CAT: (0, 1), DOG: (0, 0)}),
        ("beside", {CAT: (0, 0), DOG: (1, 0)}),
    ],
)
def test_one_relation(kind: RelationKind, cells: dict[Mention, tuple[int, int]]) -> None:
    assert arrange([relation(CAT, kind, DOG)], [], []) == cells


def test_relations_places_and_others_together() -> None:
    cells = arrange([relation(CAT, "left", DOG), relation(OWL, "above", DOG)], [], [])
    assert cells[CAT][0] < cells[DOG][0]
    assert cells[OWL] == (cells[DOG][0], cells[DOG][1] - 1)
    cells = arrange([relation(CAT, "left", DOG)], [Place(OWL, -1, 0, "on the left")], [])
    assert cells[OWL][0] < cells[CAT][0]
    cells = arrange([relation(CAT, "above", DOG)], [], [OWL])
    assert len(set(cells.values())) == 3
    assert arrange([], [Place(CAT, 1, -1, "in the top right corner")], []) == {CAT: (1, -1)}


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(UserError, match="cannot plan all relations at once"):
        arrange([relation(CAT, "left", DOG), relation(DOG, "left", CAT)], [], [])
