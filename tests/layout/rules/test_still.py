"""Boxes of scenes in which nothing moves."""

from __future__ import annotations

import random

import pytest

from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import Reading
from ttom.layout.rules.relations import Relation
from ttom.layout.rules.squares import Squares
from ttom.layout.rules.still import Placed, counted, in_depth, related

CAT, DOGS, OWL = Reading("a cat, three dogs and an owl").mentions


def squares() -> Squares:
    return Squares(1.5, random.Random(0))


def middle(placed: Placed, mention: Mention) -> tuple[float, float]:
    centers = [path[0].box.center for found, paths in placed if found == mention for path in paths]
    return sum(x for x, _ in centers) / len(centers), sum(y for _, y in centers) / len(centers)


def test_as_many_boxes_as_counted() -> None:
    placed = counted(squares(), [CAT, DOGS])
    assert [len(paths) for _, paths in placed] == [1, 3]


@pytest.mark.parametrize("high", [CAT, DOGS])
def test_what_is_high_is_above(high: Mention) -> None:
    placed = counted(squares(), [CAT, DOGS], {high})
    low = DOGS if high == CAT else CAT
    assert middle(placed, high)[1] < 0.3
    assert middle(placed, low)[1] > 0.7


def test_cells_become_places() -> None:
    relation = Relation("on", CAT, DOGS, "on")
    placed = related(squares(), {CAT: (0, 0), DOGS: (0, 1)}, [relation])
    assert middle(placed, CAT)[1] < middle(placed, DOGS)[1]


@pytest.mark.parametrize(("kind", "sign"), [("in front of", 1), ("behind", -1)])
def test_the_nearer_one_stands_lower(kind: str, sign: int) -> None:
    placed = in_depth(squares(), Relation(kind, CAT, OWL, kind))  # type: ignore[arg-type]
    assert (middle(placed, CAT)[1] - middle(placed, OWL)[1]) * sign > 0
