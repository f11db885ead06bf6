"""The descriptor tells layouts apart that words do not, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ttom.errors import UserError
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.layout.rules.planner import plan
from ttom.memory.descriptor import DIMENSION, describe
from ttom.memory.query import SAME


def of(prompt: str) -> np.ndarray:
    return describe(prompt, plan(prompt, aspect=1.5, seed=0))


def likeness(one: str, other: str) -> float:
    return float(of(one) @ of(other))


OPPOSITES = [
    ("A dog to the left of a tree", "A dog to the right of a tree"),
    ("A bird above a car", "A bird below a car"),
    ("A car moves from left to right", "A car moves from right to left"),
    ("A balloon moves upwards", "A balloon moves downwards"),
    ("Two dogs", "Three dogs"),
    ("Five apples", "Six apples"),
    ("Two cats and three dogs", "Three cats and two dogs"),
    ("A cat moves left while a dog moves right", "A cat moves right while a dog moves left"),
    ("A car moves from left to right", "A car"),
    ("A dog", "A dog to the left of a tree"),
]


@pytest.mark.parametrize(("one", "other"), OPPOSITES)
def test_other_compositions_are_far_apart(one: str, other: str) -> None:
    assert likeness(one, other) < 0.9 < SAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A dog to the left of a tree", "An elephant to the left of a spaceship"),
        ("A car moves from left to right", "The green turtle drifts from left to right"),
        ("Two cats and three dogs", "Two boats and three kites"),
    ],
)
def test_nouns_do_not_count(one: str, other: str) -> None:
    assert likeness(one, other) > 0.999


def box(x: float, y: float, size: float = 0.3) -> Box:
    return Box(x0=x - size / 2, y0=y - size / 2, x1=x + size / 2, y1=y + size / 2)


def layout(prompt: str, **objects: tuple[str, list[tuple[float, Box]]]) -> Layout:
    made = [
        LayoutObject(id=id_, phrase=noun, noun=noun, key_frames=tuple(KeyFrame(time=t, box=b) for t, b in frames))
        for id_, (noun, frames) in objects.items()
    ]
    return Layout(prompt=prompt, objects=tuple(made))


def test_small_shifts_of_boxes_change_little() -> None:
    random = np.random.default_rng(0)
    prompt = "a cat and a dog"
    still = describe(prompt, layout(prompt, a=("cat", [(0, box(0.3, 0.5))]), b=("dog", [(0, box(0.7, 0.5))])))
    for _ in range(50):
        dx, dy = random.uniform(-0.03, 0.03, (2, 2))
        size = random.uniform(0.27, 0.33)
        cat, dog = box(0.3 + dx[0], 0.5 + dy[0], size), box(0.7 + dx[1], 0.5 + dy[1], size)
        assert still @ describe(prompt, layout(prompt, a=("cat", [(0, cat)]), b=("dog", [(0, dog)]))) > SAME


def test_groups_stand_in_the_order_of_the_abstraction_not_of_the_layout() -> None:
    prompt = "a cat and a dog"
    cat, dog = ("cat", [(0.0, box(0.3, 0.5))]), ("dog", [(0.0, box(0.7, 0.5))])
    assert np.array_equal(
        describe(prompt, layout(prompt, a=cat, b=dog)), describe(prompt, layout(prompt, b=dog, a=cat))
    )
    swapped = describe("a dog and a cat", layout("a dog and a cat", a=cat, b=dog))
    assert describe(prompt, layout(prompt, a=cat, b=dog)) @ swapped < 0.7


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8, 14])
def test_any_number_of_groups_gives_one_finite_unit_vector(number: int) -> None:
    nouns = [f"thing{letter}" for letter in "abcdefghijklmnop"[:number]]
    prompt = " and ".join(nouns)
    places = {noun: (noun, [(0.0, box(0.2 + 0.04 * i, 0.5))]) for i, noun in enumerate(nouns)}
    found = describe(prompt, layout(prompt, **places))
    assert found.shape == (DIMENSION,) and found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_an_object_that_is_seen_later_differs_from_one_that_is_seen_all_the_time() -> None:
    prompt = "a cat"
    always = LayoutObject(id="a", phrase="cat", noun="cat", key_frames=(KeyFrame(time=0, box=box(0.5, 0.5)),))
    later = always.model_copy(update={"visible": (0.6, 1.0)})
    one, other = (describe(prompt, Layout(prompt=prompt, objects=(item,))) for item in (always, later))
    assert one @ other < 0.8


def test_a_layout_of_another_prompt_is_refused() -> None:
    with pytest.raises(UserError):
        describe("a horse", plan("A dog to the left of a tree", aspect=1.5, seed=0))
