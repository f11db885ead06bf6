"""Paths of several legs and diagonal ones, as the rules planner reads them from prompts."""

from __future__ import annotations

import itertools

import pytest

from tests.layout.seen import ASPECT, overlap
from ttom.layout.rules.planner import plan


def way(prompt: str, phrase: str) -> list[tuple[int, int]]:
    """The signs of each straight piece of the way, 0 where it moves less than a tenth of the picture."""
    (item,) = (item for item in plan(prompt, aspect=ASPECT).objects if item.phrase == phrase)
    centers = [frame.box.center for frame in item.key_frames]
    signs = [[(d > 0.1) - (d < -0.1) for d in (bx - ax, by - ay)] for (ax, ay), (bx, by) in itertools.pairwise(centers)]
    return [(x, y) for x, y in signs]


LEFT, RIGHT, UP, DOWN = (-1, 0), (1, 0), (0, -1), (0, 1)
WAYS = {
    "A robot moves right and then up": ("robot", [RIGHT, UP]),
    "A balloon rises and then falls": ("balloon", [UP, DOWN]),
    "A balloon rises and falls": ("balloon", [UP, DOWN]),
    "A car goes left then back": ("car", [LEFT, RIGHT]),
    "A dog walks left and then right": ("dog", [LEFT, RIGHT]),
    "A dog runs to the right and comes back": ("dog", [RIGHT, LEFT]),
    "A ball rolls to the right and falls off the table": ("ball", [RIGHT, DOWN]),
    "A plane takes off and flies to the left": ("plane", [UP, LEFT]),
    "A crab crawls left before climbing": ("crab", [LEFT, UP]),
    "A woman turns left at the corner and then walks up the hill": ("woman", [LEFT, UP]),
    "A drone flies up, then right, then down": ("drone", [UP, RIGHT, DOWN]),
    "A bird flies to the upper left": ("bird", [(-1, -1)]),
    "A dog going from bottom left to top right": ("dog", [(1, -1)]),
    "A kite drifts from the left to the top of the screen": ("kite", [(1, -1)]),
    "A kite drifts from the top right corner to the left": ("kite", [LEFT]),
    "A kite drifts from the top right corner": ("kite", [(-1, 1)]),
    "A cat runs diagonally up and to the right": ("cat", [(1, -1)]),
    "A bird flies up and to the right above a house": ("bird", [(1, -1)]),
    "A bird flies up left": ("bird", [(-1, -1)]),
    "A bird flies left and down": ("bird", [(-1, 1)]),
    "A boat sails left and a plane flies to the upper right": ("plane", [(1, -1)]),
}


@pytest.mark.parametrize("prompt", WAYS)
def test_paths_of_several_pieces_and_diagonals(prompt: str) -> None:
    phrase, pieces = WAYS[prompt]
    assert way(prompt, phrase) == pieces


@pytest.mark.parametrize("aspect", [0.5625, 1.5, 2.4])
def test_nothing_overlaps_on_any_way(aspect: float) -> None:
    more = [
        "A bird flies to the upper left while a car drives right and a dog sits",
        "A bird flies to the upper left, a balloon rises and a cat sits",
        "Two birds fly to the lower right and three dogs run left below a kite",
        "Three dogs chase a cat from right to left",
    ]
    for prompt in [*WAYS, *more]:
        layout = plan(prompt, aspect=aspect, seed=3)
        for time in (k / 20 for k in range(21)):
            there = [box for item in layout.objects if (box := item.box_at(time)) is not None]
            assert len(there) == len(layout.objects)
            assert all(overlap(a, b) == 0 for a, b in itertools.combinations(there, 2)), (prompt, time)
