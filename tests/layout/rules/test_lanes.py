"""Boxes of scenes with motion."""

from __future__ import annotations

import random

import pytest

from ttom.layout.rules.cues import Step
from ttom.layout.rules.lanes import moving
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import Mover
from ttom.layout.rules.parse import Scene
from ttom.layout.rules.reading import Reading
from ttom.layout.rules.squares import Path, Squares

CAT, DOGS, OWL = Reading("a cat, two dogs and an owl").mentions


def paths(scene: Scene) -> dict[Mention, list[Path]]:
    return dict(moving(Squares(1.5, random.Random(1)), scene))


@pytest.mark.parametrize("step", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_step_crosses_the_picture(step: Step) -> None:
    ((path,),) = paths(Scene(movers=(Mover(CAT, (step,)),))).values()
    (ax, ay), (bx, by) = path[0].box.center, path[-1].box.center
    for moved, sign in ((bx - ax, step[0]), (by - ay, step[1])):
        assert (moved * sign > 0.4) if sign else moved == 0


def test_pieces_take_the_same_time_and_join() -> None:
    ((path,),) = paths(Scene(movers=(Mover(CAT, ((1, 0), (0, -1), (-1, 0))),))).values()
    assert [frame.time for frame in path] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    centers = [frame.box.center for frame in path]
    assert [x > 0.5 for x, _ in centers] == [False, True, True, False]
    assert [y > 0.5 for _, y in centers] == [True, True, False, False]


def test_rows_of_movers_and_still_things() -> None:
    found = paths(Scene(movers=(Mover(CAT, ((1, 0),)), Mover(OWL, ((-1, 0),))), statics=(DOGS,), high=frozenset({OWL})))
    heights = {mention: places[0][0].box.center[1] for mention, places in found.items()}
    assert heights[OWL] < heights[CAT] < heights[DOGS]


def test_a_group_moves_as_one() -> None:
    first, second = paths(Scene(movers=(Mover(DOGS, ((0, -1),)),)))[DOGS]
    gaps = {round(a.box.x0 - b.box.x0, 4) for a, b in zip(first, second, strict=True)}
    assert len(gaps) == 1


def test_the_chased_one_is_in_front_on_the_same_way() -> None:
    scene = Scene(movers=(Mover(CAT, ((1, 0),), behind=OWL), Mover(OWL, ((1, 0),))))
    found = paths(scene)
    ((cat,), (owl,)) = found[CAT], found[OWL]
    assert all(a.box.x1 < b.box.x0 for a, b in zip(cat, owl, strict=True))
