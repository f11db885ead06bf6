"""Who moves, along which path, and which words nothing follows."""

from __future__ import annotations

import pytest

from ttom.errors import UserError
from ttom.layout.rules.motion import Mover, find_chases, find_motion, step_name
from ttom.layout.rules.reading import Reading


def movers(prompt: str) -> dict[str, tuple[tuple[int, int], ...]]:
    return {mover.mention.phrase: mover.legs for mover in find_motion(Reading(prompt)).movers}


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("A cat runs left", {"cat": ((-1, 0),)}),
        ("A cat and a dog run left", {"cat": ((-1, 0),), "dog": ((-1, 0),)}),
        ("A girl throws a ball upward", {"ball": ((0, -1),)}),
        ("A girl pushes a cart to the left", {"girl": ((-1, 0),), "cart": ((-1, 0),)}),
        ("A man raises its head", {}),
        ("The camera pans left over a cat", {}),
        ("A monkey climbs downwards", {"monkey": ((0, 1),)}),
        ("A plane takes off to the left", {"plane": ((-1, 0),)}),
        ("A ball rolls left, then right, then left", {"ball": ((-1, 0), (1, 0), (-1, 0))}),
        ("A ball rolls left and then left", {"ball": ((-1, 0),)}),
    ],
)
def test_movers(prompt: str, found: dict[str, tuple[tuple[int, int], ...]]) -> None:
    assert movers(prompt) == found


def test_axes_and_names() -> None:
    (mention,) = Reading("A cat").mentions
    axes = {((1, 0),): "x", ((0, -1), (0, 1)): "y", ((1, 0), (0, 1)): "xy", ((1, 1),): "xy"}
    assert {legs: Mover(mention, legs).axis for legs in axes} == axes
    assert [step_name(step) for step in ((1, 0), (0, -1), (-1, 1))] == ["right", "up", "down left"]


def test_notes_and_what_is_left_out() -> None:
    motion = find_motion(Reading("A robot moves right and then up"))
    assert motion.notes == ('robot: direction right, then up: "right" "up"',)
    assert find_motion(Reading("A plane takes off to the left")).left_out == (
        '"takes off", as plane goes one way only',
    )
    assert find_motion(Reading("The wind blows left over a cat")).left_out == ('"left", as wind is not moved',)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("A dog runs left, to the right", "move both left"),
        ("A dog runs left then right then left then right", "4 legs"),
        ("In the garden dogs run left", "cannot tell what moves left"),
    ],
)
def test_refusals(prompt: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_motion(Reading(prompt))


def test_chases() -> None:
    found = [(a.phrase, b.phrase, verb) for a, b, verb in find_chases(Reading("Two dogs chase after a cat"))]
    assert found == [("dogs", "cat", "chase")]
    assert not list(find_chases(Reading("A dog follows the road")))
    dog, cat = find_motion(Reading("A dog chases a cat to the left")).movers
    assert (dog.behind, cat.behind) == (cat.mention, None)
