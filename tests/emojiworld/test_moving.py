"""Scenes in which something moves show the facts that were drawn, whatever the draw."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from tests.emojiworld.truth import is_on_side
from ttom.emojiworld import moving
from ttom.emojiworld.facts import DIRECTIONS, OPPOSITE_DIRECTION, RELATIONS, Direction, Facts, Relation, Side, Subject
from ttom.emojiworld.scene import HEIGHT, WIDTH, Point, Thing

DRAWS = 200
STEP = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def heads(start: Point, end: Point, direction: str) -> bool:
    """Whether a leg goes straight in a direction."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along, across = (dx, dy) if STEP[direction][0] else (dy, dx)
    return abs(across) < 1e-6 and along * sum(STEP[direction]) > 1


def placed(place, facts: Facts, seed: int) -> list[Thing] | None:
    return place(random.Random(seed), facts)


def mover(direction: Direction, noun: int = 3) -> Subject:
    return Subject(noun, path=(direction,))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_mover_goes_its_way(direction: Direction) -> None:
    for seed in range(DRAWS):
        (thing,) = moving.place_motion(random.Random(seed), Facts((mover(direction),)))
        assert thing.noun == 3 and heads(*thing.path, direction)


@pytest.mark.parametrize("side", RELATIONS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_mover_stays_on_its_side_all_the_way(direction: Direction, side: Side) -> None:
    facts = Facts((mover(direction), Subject(4)), (Relation(0, side, 1),))
    found = 0
    for seed in range(DRAWS):
        made = moving.place_motion_beside(random.Random(seed), facts)
        if made is None:
            continue
        found += 1
        still, thing = made
        assert (still.noun, thing.noun, still.subject) == (4, 3, 1) and len(still.path) == 1
        assert heads(*thing.path, direction)
        assert all(is_on_side(side, place, still.path[0]) for place in thing.path)
    assert found > DRAWS / 2


def test_edition_1_has_no_mover_on_the_line_of_the_still_thing() -> None:
    facts = Facts((mover("left"), Subject(4)), (Relation(0, "right", 1),))
    assert placed(moving.place_motion_across, facts, 0) is None
    assert placed(moving.place_motion_beside, facts, 0) is not None


def test_two_movers_keep_to_lanes_of_their_own() -> None:
    for first in DIRECTIONS:
        for second in DIRECTIONS:
            made = placed(moving.place_two_movers, Facts((mover(first), mover(second, 5))), 1)
            if bool(STEP[first][0]) != bool(STEP[second][0]):
                assert made is None
                continue
            assert made is not None
            one, two = made
            assert heads(*one.path, first) and heads(*two.path, second)
            across = 1 if STEP[first][0] else 0
            assert abs(one.path[0][across] - two.path[0][across]) >= (one.size + two.size) / 2


def test_groups_keep_their_formation_and_do_not_overlap() -> None:
    counts: Counter[int] = Counter()
    for seed in range(DRAWS):
        rng = random.Random(seed)
        facts = moving.draw_group(rng, [3])
        made = moving.place_group(rng, facts)
        if made is None:
            continue
        counts[len(made)] += 1
        assert len(made) == facts.subjects[0].count
        steps = np.array([np.subtract(thing.path[1], thing.path[0]) for thing in made])
        np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape))
        starts = [thing.path[0] for thing in made]
        for i, (ax, ay) in enumerate(starts):
            assert all(max(abs(ax - bx), abs(ay - by)) >= made[0].size for bx, by in starts[i + 1 :])
    assert set(counts) == {2, 3, 4}


def test_turns_have_two_legs_and_go_there_and_back_or_around_a_corner() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(DRAWS):
        rng = random.Random(seed)
        facts = moving.draw_turn(rng, [3])
        (thing,) = moving.place_turn(rng, facts)
        first, second = facts.subjects[0].path
        kinds["back" if second == OPPOSITE_DIRECTION[first] else "corner"] += 1
        start, corner, end = thing.path
        assert heads(start, corner, first) and heads(corner, end, second)
        assert min(x for x, _ in thing.path) >= 0 and max(x for x, _ in thing.path) <= WIDTH
        assert min(y for _, y in thing.path) >= 0 and max(y for _, y in thing.path) <= HEIGHT
    assert min(kinds["back"], kinds["corner"]) > DRAWS / 4


def test_a_passage_begins_or_ends_outside_of_the_picture() -> None:
    seen: Counter[str] = Counter()
    for seed in range(DRAWS):
        rng = random.Random(seed)
        facts = moving.draw_passage(rng, [3])
        (thing,) = moving.place_passage(rng, facts)
        subject = facts.subjects[0]
        assert subject.passage is not None
        seen[subject.passage] += 1
        assert heads(*thing.path, subject.path[0])
        outside, inside = (0.0, 1.0) if subject.passage == "enters" else (1.0, 0.0)
        assert thing.shown_at(outside) == 0 and thing.shown_at(inside) > 0.9
    assert set(seen) == {"enters", "leaves"}
