"""Scenes in which nothing moves show the facts that were drawn, whatever the draw."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest

from tests.emojiworld.truth import is_on_side
from ttom.emojiworld import standing
from ttom.emojiworld.facts import RELATIONS, Facts, Relation, Side, Subject
from ttom.emojiworld.scene import HEIGHT, WIDTH, Thing

DRAWS = 200


def apart(things: list[Thing]) -> bool:
    """Whether no two sprites overlap, all of them inside the picture and none of them moving."""
    for thing in things:
        (center,) = thing.path
        if not (thing.size / 2 - 1e-6 <= center[0] <= WIDTH - thing.size / 2 + 1e-6):
            return False
        if not (thing.size / 2 - 1e-6 <= center[1] <= HEIGHT - thing.size / 2 + 1e-6):
            return False
    return all(
        max(abs(a.path[0][0] - b.path[0][0]), abs(a.path[0][1] - b.path[0][1])) >= (a.size + b.size) / 2 - 1e-6
        for a, b in combinations(things, 2)
    )


@pytest.mark.parametrize("side", RELATIONS)
def test_the_first_is_on_its_side_of_the_second(side: Side) -> None:
    facts, found = Facts((Subject(3), Subject(4)), (Relation(0, side, 1),)), 0
    for seed in range(DRAWS):
        made = standing.place_relation(random.Random(seed), facts)
        if made is None:
            continue
        found += 1
        one, two = made
        assert (one.noun, two.noun, one.subject, two.subject) == (3, 4, 0, 1) and apart(made)
        assert is_on_side(side, one.path[0], two.path[0])
        dx, dy = one.path[0][0] - two.path[0][0], one.path[0][1] - two.path[0][1]
        assert (abs(dx) > abs(dy)) == (side in ("left", "right"))
    assert found > DRAWS / 4


def test_only_things_side_by_side_may_be_told_loosely() -> None:
    drawn = [standing.draw_loose_relation(random.Random(seed), [3, 4]).relations[0] for seed in range(1_000)]
    loose = [relation for relation in drawn if relation.loose]
    assert loose and all(relation.side in ("left", "right") for relation in loose)
    beside = [relation for relation in drawn if relation.side in ("left", "right")]
    assert 0.15 < len(loose) / len(beside) < 0.25


@pytest.mark.parametrize("largest", [6, 8])
def test_counts_are_drawn_up_to_the_largest_and_all_are_placed(largest: int) -> None:
    counts: Counter[int] = Counter()
    for seed in range(2 * DRAWS):
        rng = random.Random(seed)
        facts = standing.draw_count(largest)(rng, [3])
        made = standing.place_counts(rng, facts)
        if made is not None:
            counts[len(made)] += 1
            assert len(made) == facts.subjects[0].count and apart(made)
    assert set(counts) == set(range(1, largest + 1))


def test_two_counts_are_together_no_more_than_there_is_room_for() -> None:
    for seed in range(DRAWS):
        rng = random.Random(seed)
        facts = standing.draw_two_counts(6)(rng, [3, 4])
        numbers = [subject.count for subject in facts.subjects]
        assert min(numbers) >= 1 and max(numbers) <= 4 and sum(numbers) <= 6
        made = standing.place_counts(rng, facts)
        if made is not None:
            assert Counter(thing.noun for thing in made) == {3: numbers[0], 4: numbers[1]} and apart(made)


def test_three_things_are_one_combination() -> None:
    facts = standing.draw_three(random.Random(0), [3, 4, 5, 6])
    assert facts.together and [subject.noun for subject in facts.subjects] == [3, 4, 5]
    placed = [standing.place_three(random.Random(seed), facts) for seed in range(20)]
    assert all(made is None or (apart(made) and len(made) == 3) for made in placed)
    assert any(made is not None for made in placed)


def test_one_thing_is_between_two_of_another() -> None:
    facts = standing.draw_between(random.Random(0), [3, 4])
    for seed in range(DRAWS):
        *sides, middle = standing.place_between(random.Random(seed), facts)
        assert [thing.noun for thing in (*sides, middle)] == [4, 4, 3] and apart([*sides, middle])
        left, right = sorted(thing.path[0][0] for thing in sides)
        assert left < middle.path[0][0] < right and sides[0].size == sides[1].size
