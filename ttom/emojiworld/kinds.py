"""The kinds of scenes that models are trained on. Kinds that they never see are in compose.py.

A kind draws facts for some nouns, and places things that show them. Held out are combinations only: see facts.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ttom.emojiworld import placing
from ttom.emojiworld.facts import (
    DIRECTIONS,
    OPPOSITE_DIRECTION,
    RELATIONS,
    Direction,
    Facts,
    Relation,
    Subject,
)
from ttom.emojiworld.scene import HEIGHT, SLOTS, WIDTH, Point, Thing

Draw = Callable[[random.Random, Sequence[int]], Facts]
Place = Callable[[random.Random, Facts], list[Thing] | None]


@dataclass(frozen=True)
class Kind:
    """A kind of scene.

    Attributes:
        draw: Facts for nouns (three different indices, of which it takes as many as it needs).
        place: Things that show the facts, or None if this draw has no room.
        sized: Whether one of its subjects may be big or small.
    """

    draw: Draw
    place: Place
    sized: bool = False


def size_of(rng: random.Random, subject: Subject, low: float, high: float) -> float:
    """The side of a sprite: between low and high unless the subject is big or small."""
    if subject.size == "big":
        return rng.uniform(31, 37)
    if subject.size == "small":
        return rng.uniform(13, 17)
    return rng.uniform(low, high)


def draw_motion(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover."""
    return Facts((Subject(nouns[0], path=(rng.choice(DIRECTIONS),)),))


def place_motion(rng: random.Random, facts: Facts) -> list[Thing]:
    """Across the picture on any lane."""
    subject = facts.subjects[0]
    size = size_of(rng, subject, 20, 30)
    return [Thing(subject.noun, placing.path(rng, subject.path[0], size), size)]


def draw_motion_beside(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """A mover that stays on one side of a still thing all the way."""
    mover = Subject(nouns[0], path=(rng.choice(DIRECTIONS),))
    return Facts((mover, Subject(nouns[1])), (Relation(0, rng.choice(RELATIONS), 1),))


def place_motion_across(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """Above or below a still thing across the picture, or left or right of it up and down the picture."""
    mover, other = facts.subjects
    direction, side = mover.path[0], facts.relations[0].side
    horizontal = placing.is_horizontal(direction)
    if horizontal == placing.is_horizontal(side):
        return None
    a, b = rng.uniform(20, 28), rng.uniform(20, 28)
    if horizontal:
        upper = rng.uniform(a / 2, HEIGHT - b - a / 2 - 1)
        lower = rng.uniform(upper + (a + b) / 2, HEIGHT - b / 2)
        lane, rest = (upper, lower) if side == "above" else (HEIGHT - upper, HEIGHT - lower)
        place = (rng.uniform(b / 2 + 14, WIDTH - b / 2 - 14), rest)
    else:
        left = rng.uniform(a / 2 + 4, WIDTH - b - a / 2 - 6)
        right = rng.uniform(left + (a + b) / 2 + 1, WIDTH - b / 2)
        lane, rest = (left, right) if side == "left" else (WIDTH - left, WIDTH - right)
        place = (rest, rng.uniform(b / 2, HEIGHT - b / 2))
    still = placing.still(other.noun, place, b, subject=1)
    return [still, Thing(mover.noun, placing.path(rng, direction, a, lane), a)]


def place_motion_beside(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """All four sides for all four directions: towards the still thing or away from it where both lie on one line."""
    mover, other = facts.subjects
    direction, side = mover.path[0], facts.relations[0].side
    horizontal = placing.is_horizontal(side)
    if placing.is_horizontal(direction) != horizontal:
        return place_motion_across(rng, facts)
    extent, across_extent = (WIDTH, HEIGHT) if horizontal else (HEIGHT, WIDTH)
    low, high = (17, 22) if horizontal else (14, 17)
    a, b = rng.uniform(low, high), rng.uniform(low, high)
    rest = extent - b / 2 - rng.uniform(0, 4)
    near, far = a / 2 + rng.uniform(0, 4), rest - (a + b) / 2 - rng.uniform(1, 3)
    lane = rng.uniform(max(a, b) / 2, across_extent - max(a, b) / 2)
    other_lane = min(max(lane + rng.uniform(-0.25, 0.25) * b, b / 2), across_extent - b / 2)
    if side in ("right", "below"):
        near, far, rest = extent - near, extent - far, extent - rest
    ends = sorted((near, far))
    if direction in ("left", "up"):
        ends.reverse()
    points: list[Point] = [(x, lane) if horizontal else (lane, x) for x in ends]
    place = (rest, other_lane) if horizontal else (other_lane, rest)
    return [placing.still(other.noun, place, b, subject=1), Thing(mover.noun, tuple(points), a)]


def draw_two_movers(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Two movers, both horizontal or both vertical."""
    first, second = rng.choice(DIRECTIONS), rng.choice(DIRECTIONS)
    return Facts((Subject(nouns[0], path=(first,)), Subject(nouns[1], path=(second,))))


def place_two_movers(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """On lanes of their own."""
    one, two = facts.subjects
    horizontal = placing.is_horizontal(one.path[0])
    if horizontal != placing.is_horizontal(two.path[0]):
        return None
    extent = HEIGHT if horizontal else WIDTH
    a, b = rng.uniform(20, 27), rng.uniform(20, 27)
    lane_a = rng.uniform(a / 2, extent - b - a / 2 - 1)
    lane_b = rng.uniform(lane_a + (a + b) / 2 + 1, extent - b / 2)
    if rng.random() < 0.5:
        lane_a, lane_b = extent - lane_a, extent - lane_b
    return [
        Thing(one.noun, placing.path(rng, one.path[0], a, lane_a), a),
        Thing(two.noun, placing.path(rng, two.path[0], b, lane_b), b, subject=1),
    ]


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
    sizes = size_of(rng, one, 20, 30), size_of(rng, two, 20, 30)
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


def draw_group(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Two to four of a noun that move together."""
    return Facts((Subject(nouns[0], rng.randint(2, 4), counted=True, path=(rng.choice(DIRECTIONS),)),))


def place_group(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """In a formation that it keeps."""
    subject = facts.subjects[0]
    size = rng.uniform(*{2: (18, 24), 3: (16, 20), 4: (15, 18)}[subject.count])
    offsets = placing.formation(rng, subject.count, size, subject.path[0])
    ends = placing.group_path(rng, subject.path[0], offsets, size)
    if ends is None:
        return None
    return [Thing(subject.noun, tuple((x + dx, y + dy) for x, y in ends), size) for dx, dy in offsets]


def draw_turn(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover that turns once: there and back, or around a corner."""
    first = rng.choice(DIRECTIONS)
    across: list[Direction] = [d for d in DIRECTIONS if placing.is_horizontal(d) != placing.is_horizontal(first)]
    second = OPPOSITE_DIRECTION[first] if rng.random() < 0.5 else rng.choice(across)
    return Facts((Subject(nouns[0], path=(first, second)),))


def place_turn(rng: random.Random, facts: Facts) -> list[Thing]:
    """Both legs long enough to see."""
    subject = facts.subjects[0]
    first, second = subject.path
    size = size_of(rng, subject, 18, 24)
    start, corner = placing.path(rng, first, size)
    if second == OPPOSITE_DIRECTION[first]:
        share = rng.uniform(0.8, 1.0)
        end = (corner[0] + (start[0] - corner[0]) * share, corner[1] + (start[1] - corner[1]) * share)
        return [Thing(subject.noun, (start, corner, end), size)]
    # Around a corner: the lane of the first leg is where the second begins, so it starts from one side.
    begin, end = placing.path(rng, second, size)
    start, corner = placing.path(rng, first, size, lane=begin[1] if placing.is_horizontal(first) else begin[0])
    end = (corner[0], end[1]) if placing.is_horizontal(first) else (end[0], corner[1])
    return [Thing(subject.noun, (start, corner, end), size)]


def draw_passage(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover that enters the picture and stays, or leaves it."""
    direction = rng.choice(DIRECTIONS)
    return Facts((Subject(nouns[0], path=(direction,), passage="enters" if rng.random() < 0.5 else "leaves"),))


def place_passage(rng: random.Random, facts: Facts) -> list[Thing]:
    """Over the edge of the picture in the direction of the path."""
    subject = facts.subjects[0]
    direction, enters = subject.path[0], subject.passage == "enters"
    size = size_of(rng, subject, 20, 28)
    horizontal = placing.is_horizontal(direction)
    extent, other = (WIDTH, HEIGHT) if horizontal else (HEIGHT, WIDTH)
    outside, inside = -size / 2 - 1, rng.uniform(0.45, 0.75) * extent
    inside = min(inside, extent - size / 2)
    across = rng.uniform(size / 2, other - size / 2)
    along = [outside, inside] if enters else [extent - inside, extent - outside]
    if direction in ("left", "up"):
        along = [extent - x for x in along]
    points: list[Point] = [(x, across) if horizontal else (across, x) for x in along]
    begin = rng.uniform(0.0, 0.12) if enters else rng.uniform(0.25, 0.4)
    end = rng.uniform(0.6, 0.85) if enters else rng.uniform(0.88, 0.98)
    visible = (begin, 1.0) if enters else (0.0, end)
    return [Thing(subject.noun, tuple(points), size, moving=(begin, end), visible=visible)]


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


FIRST_KINDS: dict[str, Kind] = {
    "motion": Kind(draw_motion, place_motion),
    "motion_beside": Kind(draw_motion_beside, place_motion_across),
    "two_movers": Kind(draw_two_movers, place_two_movers),
    "relation": Kind(draw_relation, place_relation),
    "count": Kind(draw_count(6), place_counts),
    "two_counts": Kind(draw_two_counts(SLOTS - 1), place_counts),
}
"""Edition 1."""
TRAINED_KINDS: dict[str, Kind] = {
    "motion": Kind(draw_motion, place_motion, sized=True),
    "motion_beside": Kind(draw_motion_beside, place_motion_beside),
    "two_movers": Kind(draw_two_movers, place_two_movers),
    "relation": Kind(draw_loose_relation, place_relation, sized=True),
    "count": Kind(draw_count(SLOTS), place_counts),
    "two_counts": Kind(draw_two_counts(6), place_counts),
    "group": Kind(draw_group, place_group),
    "turn": Kind(draw_turn, place_turn, sized=True),
    "passage": Kind(draw_passage, place_passage, sized=True),
    "three": Kind(draw_three, place_three),
    "between": Kind(draw_between, place_between),
}
"""Edition 2. The first six have the names and the facts of edition 1, with more sides, counts and words."""
