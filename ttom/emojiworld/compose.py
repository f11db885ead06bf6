"""Kinds of scenes that no model is ever trained on: they test whether what was learned apart can be composed.

Nothing in training may draw from NEVER_TRAINED, and no trained scene has these properties: three movers; movers at
right angles; a group beside something; a mover beside a counted group; more than six things of two nouns; two
relations; more than one color; the same noun twice as different subjects; a zigzag. (A thing "between two trees" is
trained: it is the one relation that needs two of a noun.)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ttom.emojiworld import placing
from ttom.emojiworld.colors import TINTS
from ttom.emojiworld.facts import DIRECTIONS, RELATIONS, Direction, Facts, Relation, Side, Subject
from ttom.emojiworld.kinds import Kind
from ttom.emojiworld.scene import HEIGHT, SLOTS, WIDTH, Point, Thing
from ttom.emojiworld.standing import place_counts, place_relation, place_three

_ACROSS: dict[bool, tuple[Direction, Direction]] = {True: ("left", "right"), False: ("up", "down")}


def draw_three_movers(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Three movers, all horizontal or all vertical."""
    directions = _ACROSS[rng.random() < 0.5]
    return Facts(tuple(Subject(noun, path=(rng.choice(directions),)) for noun in nouns[:3]))


def place_three_movers(rng: random.Random, facts: Facts) -> list[Thing]:
    """On lanes of their own, in any order."""
    horizontal = placing.is_horizontal(facts.subjects[0].path[0])
    extent = HEIGHT if horizontal else WIDTH
    lanes = [extent * (i + 0.5) / 3 for i in range(3)]
    rng.shuffle(lanes)
    things = []
    for i, (subject, lane) in enumerate(zip(facts.subjects, lanes, strict=True)):
        size = rng.uniform(17, 20) if horizontal else rng.uniform(18, 25)
        ends = placing.path(rng, subject.path[0], size, lane + rng.uniform(-0.5, 0.5))
        things.append(Thing(subject.noun, ends, size, subject=i))
    return things


def draw_right_angles(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover across the picture and one up or down."""
    directions = [rng.choice(_ACROSS[True]), rng.choice(_ACROSS[False])]
    rng.shuffle(directions)
    return Facts(tuple(Subject(noun, path=(d,)) for noun, d in zip(nouns[:2], directions, strict=True)))


def place_right_angles(rng: random.Random, facts: Facts) -> list[Thing]:
    """The vertical one keeps to a strip at one side, the horizontal one to the rest."""
    things, on_left = [], rng.random() < 0.5
    for i, subject in enumerate(facts.subjects):
        size, direction = rng.uniform(18, 24), subject.path[0]
        if not placing.is_horizontal(direction):
            lane = rng.uniform(size / 2, 28 - size / 2)
            ends = placing.path(rng, direction, size, lane if on_left else WIDTH - lane)
        else:
            near, far = 30 + size / 2 + rng.uniform(0, 4), WIDTH - size / 2 - rng.uniform(0, 4)
            if not on_left:
                near, far = WIDTH - near, WIDTH - far
            y = rng.uniform(size / 2, HEIGHT - size / 2)
            low, high = sorted((near, far))
            ends = ((low, y), (high, y)) if direction == "right" else ((high, y), (low, y))
        things.append(Thing(subject.noun, ends, size, subject=i))
    return things


def draw_group_relation(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Two or three of a noun on one side of another thing."""
    group = Subject(nouns[0], rng.randint(2, 3), counted=True)
    return Facts((group, Subject(nouns[1])), (Relation(0, rng.choice(RELATIONS), 1),))


def place_group_relation(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """The group in a row across the axis of the relation, so that each of it stands on that side."""
    group, other = facts.subjects
    side = facts.relations[0].side
    horizontal = placing.is_horizontal(side)
    a, b = rng.uniform(16, 20), rng.uniform(20, 26)
    step = a * rng.uniform(1.02, 1.1)
    extent, across = (WIDTH, HEIGHT) if horizontal else (HEIGHT, WIDTH)
    span = step * (group.count - 1) / 2
    # On the diagonal of the picture a relation turns into another one: the ends of the row stay nearer to the axis.
    distance = max((a + b) / 2 + rng.uniform(2, 8), (1.6 if horizontal else 1.1) * span + 3)
    low, high = a / 2, extent - b / 2 - distance
    if high < low or span + a / 2 > across / 2:
        return None
    along = rng.uniform(low, high)
    middle = rng.uniform(max(span + a / 2, b / 2), across - max(span + a / 2, b / 2))
    place, rest = (
        (along, along + distance) if side in ("left", "above") else (extent - along, extent - along - distance)
    )
    row = [middle + (i - (group.count - 1) / 2) * step for i in range(group.count)]
    things = [placing.still(group.noun, (place, y) if horizontal else (y, place), a) for y in row]
    return [*things, placing.still(other.noun, (rest, middle) if horizontal else (middle, rest), b, subject=1)]


def draw_mover_and_count(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover, and two to four still things of another noun."""
    mover = Subject(nouns[0], path=(rng.choice(DIRECTIONS),))
    return Facts((mover, Subject(nouns[1], rng.randint(2, 4), counted=True)))


def place_mover_and_count(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """The mover has a lane at one edge to itself."""
    mover, others = facts.subjects
    direction, a = mover.path[0], rng.uniform(18, 22)
    first = rng.random() < 0.5
    if placing.is_horizontal(direction):
        lane = a / 2 + 1 if first else HEIGHT - a / 2 - 1
        taken = (0.0, lane - a / 2, float(WIDTH), lane + a / 2)
    else:
        lane = a / 2 + 1 if first else WIDTH - a / 2 - 1
        taken = (lane - a / 2, 0.0, lane + a / 2, float(HEIGHT))
    sizes = [rng.uniform(15, 18) for _ in range(others.count)]
    centers = placing.scatter(rng, sizes, taken)
    if centers is None:
        return None
    still = [placing.still(others.noun, c, s, subject=1) for c, s in zip(centers, sizes, strict=True)]
    return [*still, Thing(mover.noun, placing.path(rng, direction, a, lane), a)]


def draw_many_counts(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Seven or eight things of two nouns."""
    total = rng.randint(7, SLOTS)
    first = rng.randint(2, total - 2)
    return Facts((Subject(nouns[0], first, counted=True), Subject(nouns[1], total - first, counted=True)))


def draw_two_relations(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Three still things: the first beside the second, the third above or below it."""
    sides: tuple[Side, Side] = (rng.choice(("left", "right")), rng.choice(("above", "below")))
    return Facts(tuple(Subject(noun) for noun in nouns[:3]), (Relation(0, sides[0], 1), Relation(2, sides[1], 1)))


def place_two_relations(rng: random.Random, facts: Facts) -> list[Thing]:
    """The second thing in a corner of the triangle, so that it has room for both."""
    a, b, c = (rng.uniform(18, 24) for _ in range(3))
    dx, dy = (a + b) / 2 + rng.uniform(2, 12), (b + c) / 2 + rng.uniform(1, 4)
    # Put the second at the origin, the first to its right, the third below it; then mirror as the sides want it.
    x = rng.uniform(max(b, c) / 2, WIDTH - dx - a / 2)
    y = rng.uniform(max(a, b) / 2, HEIGHT - dy - c / 2)
    centers: list[Point] = [(x + dx, y), (x, y), (x, y + dy)]
    if facts.relations[0].side == "left":
        centers = [(WIDTH - px, py) for px, py in centers]
    if facts.relations[1].side == "above":
        centers = [(px, HEIGHT - py) for px, py in centers]
    rows = zip(facts.subjects, centers, (a, b, c), strict=True)
    return [placing.still(subject.noun, center, size, i) for i, (subject, center, size) in enumerate(rows)]


def draw_color_binding(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """Two or three things of different colors; half of the pairs are of one noun, told apart by color and side."""
    count = rng.choice((2, 2, 3))
    first, second, third = ([*nouns] * 3)[:3]
    same = count == 2 and rng.random() < 0.5
    chosen = [first, first if same else second, third][:count]
    if not all(TINTS[noun] for noun in chosen):
        return draw_color_binding(rng, rng.sample(_COLORABLE, 3))
    subjects = [Subject(noun, color=rng.choice(TINTS[noun])) for noun in chosen]
    if len({subject.color for subject in subjects}) < count:
        return draw_color_binding(rng, nouns)
    relations = (Relation(0, rng.choice(RELATIONS), 1),) if count == 2 else ()
    return Facts(tuple(subjects), relations)


_COLORABLE = [noun for noun, colors in enumerate(TINTS) if colors]


def place_color_binding(rng: random.Random, facts: Facts) -> list[Thing] | None:
    """Two beside each other, or three scattered."""
    placed = place_relation(rng, facts) if facts.relations else place_three(rng, facts)
    return placed and [replace(thing, color=facts.subjects[thing.subject].color) for thing in placed]


def draw_zigzag(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover in a zigzag."""
    return Facts((Subject(nouns[0], path=(rng.choice(DIRECTIONS),), zigzag=True),))


def place_zigzag(rng: random.Random, facts: Facts) -> list[Thing]:
    """Along the direction in three to five strokes that go from side to side."""
    subject = facts.subjects[0]
    direction, size = subject.path[0], rng.uniform(16, 20)
    start, end = placing.path(rng, direction, size)
    horizontal, strokes = placing.is_horizontal(direction), rng.randint(3, 5)
    other = HEIGHT if horizontal else WIDTH
    swing = (other - size) / 2 * (rng.uniform(0.7, 1.0) if horizontal else rng.uniform(0.4, 0.7))
    middle = rng.uniform(size / 2 + swing, other - size / 2 - swing)
    sign = rng.choice((-1, 1))
    points: list[Point] = []
    for i in range(strokes + 1):
        share, across = i / strokes, middle + sign * (-1) ** i * swing
        x, y = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
        points.append((x, across) if horizontal else (across, y))
    return [Thing(subject.noun, tuple(points), size)]


NEVER_TRAINED: dict[str, Kind] = {
    "three_movers": Kind(draw_three_movers, place_three_movers),
    "right_angles": Kind(draw_right_angles, place_right_angles),
    "group_relation": Kind(draw_group_relation, place_group_relation),
    "mover_and_count": Kind(draw_mover_and_count, place_mover_and_count),
    "many_counts": Kind(draw_many_counts, place_counts),
    "two_relations": Kind(draw_two_relations, place_two_relations),
    "color_binding": Kind(draw_color_binding, place_color_binding),
    "zigzag": Kind(draw_zigzag, place_zigzag),
}
"""By name; the suite EmojiWorld-Compose is made of them."""
