"""Kinds of scenes in which something moves: what is drawn of their facts, and things placed to show them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ttom.emojiworld import placing
from ttom.emojiworld.facts import DIRECTIONS, OPPOSITE_DIRECTION, RELATIONS, Direction, Facts, Relation, Subject
from ttom.emojiworld.scene import HEIGHT, WIDTH, Point, Thing


def draw_motion(rng: random.Random, nouns: Sequence[int]) -> Facts:
    """One mover."""
    return Facts((Subject(nouns[0], path=(rng.choice(DIRECTIONS),)),))


def place_motion(rng: random.Random, facts: Facts) -> list[Thing]:
    """Across the picture on any lane."""
    subject = facts.subjects[0]
    size = placing.size_of(rng, subject, 20, 30)
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
    size = placing.size_of(rng, subject, 18, 24)
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
    size = placing.size_of(rng, subject, 20, 28)
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
