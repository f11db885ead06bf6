"""The kinds of scenes that models are trained on. Kinds that they never see are in compose.py.

A kind draws facts for some nouns, and places things that show them. Held out are combinations only: see facts.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ttom.emojiworld import moving, standing
from ttom.emojiworld.facts import Facts
from ttom.emojiworld.scene import SLOTS, Thing
from ttom.emojiworld.standing import Draw

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


FIRST_KINDS: dict[str, Kind] = {
    "motion": Kind(moving.draw_motion, moving.place_motion),
    "motion_beside": Kind(moving.draw_motion_beside, moving.place_motion_across),
    "two_movers": Kind(moving.draw_two_movers, moving.place_two_movers),
    "relation": Kind(standing.draw_relation, standing.place_relation),
    "count": Kind(standing.draw_count(6), standing.place_counts),
    "two_counts": Kind(standing.draw_two_counts(SLOTS - 1), standing.place_counts),
}
"""Edition 1."""
TRAINED_KINDS: dict[str, Kind] = {
    "motion": Kind(moving.draw_motion, moving.place_motion, sized=True),
    "motion_beside": Kind(moving.draw_motion_beside, moving.place_motion_beside),
    "two_movers": Kind(moving.draw_two_movers, moving.place_two_movers),
    "relation": Kind(standing.draw_loose_relation, standing.place_relation, sized=True),
    "count": Kind(standing.draw_count(SLOTS), standing.place_counts),
    "two_counts": Kind(standing.draw_two_counts(6), standing.place_counts),
    "group": Kind(moving.draw_group, moving.place_group),
    "turn": Kind(moving.draw_turn, moving.place_turn, sized=True),
    "passage": Kind(moving.draw_passage, moving.place_passage, sized=True),
    "three": Kind(standing.draw_three, standing.place_three),
    "between": Kind(standing.draw_between, standing.place_between),
}
"""Edition 2. The first six have the names and the facts of edition 1, with more sides, counts and words."""
