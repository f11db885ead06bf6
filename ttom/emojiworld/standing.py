"""Kinds of scenes in which nothing moves: what is drawn of their facts, and things placed to show them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from ttom.emojiworld import placing
from ttom.emojiworld.facts import RELATIONS, Facts, Relation, Subject
from ttom.emojiworld.scene import HEIGHT, WIDTH, Thing

Draw = Callable[[random.Random, Sequence[int]], Facts]
"""Draws facts for some nouns."""


def draw_relation(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Two still things."""
    return Facts((Subject(nouns[0]), Subject(nouns[1])), (Relation(0, rng.choice(RELATIONS), 1),))


def draw_loose_relation(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """The same; a fifth of the captions of things side by side say "next to" alone."""
    facts = draw_relation(rng, nouns)
    relation = facts.relations[0]
    loose = placing.is_horizontal(relation.side) and rng.random() < 0.2
    return replace(facts, relations=(replace(relation, loose=loose),))


def place_relation(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """Apart, on the axis of the relation."""
    one, two = facts.subjects
    sizes = placing.size_of(rng, one, 20, 30), placing.size_of(rng, two, 20, 30)
    centers = placing.beside(rng, facts.relations[0].side, *sizes)
    if centers is None:
        return None
    return [placing.still(s.noun, c, z, i) for i, (s, c, z) in enumerate(zip((one, two), centers, sizes, strict=True))]


def draw_count(largest: int) -> Draw:
    """Some things of one noun."""

    def draw(rng: random.Random, nouns: Sequence[int]) -> Facts:
        return Facts((Subject(nouns[0], rng.randint(1, largest), counted=True),))

    return draw


def draw_two_counts(most: int, largest: int = 4) -> Draw:
    """Some things of two nouns, together no more than `most`."""

    def draw(rng: random.Random, nouns: Sequence[int]) -> Facts:
        first = rng.randint(1, largest)
        second = rng.randint(1, min(largest, most - first))
        return Facts((Subject(nouns[0], first, counted=True), Subject(nouns[1], second, counted=True)))

    return draw


def place_counts(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """Still, scattered, smaller the more there are."""
    which = [i for i, subject in enumerate(facts.subjects) for _ in range(subject.count)]
    low, high = {1: (22, 32), 2: (21, 29), 3: (19, 25), 4: (18, 23), 8: (14, 18)}.get(len(which), (16, 20))
    base = rng.uniform(low, high)
    sizes = [base * rng.uniform(0.92, 1.08) for _ in which]
    centers = placing.scatter(rng, sizes)
    if centers is None:
        return None
    nouns = [facts.subjects[i].noun for i in which]
    return [placing.still(*row) for row in zip(nouns, centers, sizes, which, strict=True)]


def draw_three(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Three different still things."""
    return Facts(tuple(Subject(noun) for noun in nouns[:3]), together=True)


def place_three(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """Scattered."""
    sizes = [rng.uniform(18, 26) for _ in facts.subjects]
    centers = placing.scatter(rng, sizes)
    if centers is None:
        return None
    rows = zip(facts.subjects, centers, sizes, strict=True)
    return [placing.still(subject.noun, center, size, i) for i, (subject, center, size) in enumerate(rows)]


def draw_between(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """A thing between two of another noun."""
    return Facts((Subject(nouns[0]), Subject(nouns[1], 2, counted=True)), (Relation(0, "between", 1),))


def place_between(rng: random.Random, facts: Facts) -> list[Thing]:
    """Side by side; the two are of one size."""
    one, two = facts.subjects
    a, b = rng.uniform(18, 26), rng.uniform(18, 26)
    room = WIDTH - a - 2 * b
    gaps = [rng.uniform(1, room / 3) for _ in range(2)]
    left = rng.uniform(0, room - sum(gaps))
    centers = [left + b / 2, left + b + gaps[0] + a / 2, left + b + gaps[0] + a + gaps[1] + b / 2]
    middle = rng.uniform(16, HEIGHT - 16)
    low, high = max(a, b) / 2, HEIGHT - max(a, b) / 2
    y = [min(max(middle + rng.uniform(-4, 4), low), high) for _ in range(3)]
    pairs = [placing.still(two.noun, (centers[i], y[i]), b, subject=1) for i in (0, 2)]
    return [*pairs, placing.still(one.noun, (centers[1], y[1]), a)]
