"""The kinds of both editions: which there are, and that each can place what it draws."""

from __future__ import annotations

import random

import pytest

from ttom.emojiworld.kinds import FIRST_KINDS, TRAINED_KINDS, Kind

ALL = [*FIRST_KINDS.items(), *TRAINED_KINDS.items()]


def test_edition_2_has_the_kinds_of_edition_1_first() -> None:
    assert list(TRAINED_KINDS)[: len(FIRST_KINDS)] == list(FIRST_KINDS)
    assert not any(kind.sized for kind in FIRST_KINDS.values())


@pytest.mark.parametrize(("name", "kind"), ALL, ids=lambda value: value if isinstance(value, str) else "")
def test_each_places_what_it_draws(name: str, kind: Kind) -> None:
    placed = 0
    for seed in range(60):
        rng = random.Random(seed)
        facts = kind.draw(rng, [3, 4, 5])
        things = kind.place(rng, facts)
        if things is not None:
            placed += 1
            wanted = [i for i, subject in enumerate(facts.subjects) for _ in range(subject.count)]
            assert sorted(thing.subject for thing in things) == wanted
            assert all(thing.noun == facts.subjects[thing.subject].noun for thing in things)
    assert placed > 10


@pytest.mark.parametrize(("name", "kind"), ALL, ids=lambda value: value if isinstance(value, str) else "")
def test_the_same_draw_is_the_same_scene(name: str, kind: Kind) -> None:
    made = []
    for _ in range(2):
        rng = random.Random(11)
        facts = kind.draw(rng, [3, 4, 5])
        made.append((facts, kind.place(rng, facts)))
    assert made[0] == made[1]
