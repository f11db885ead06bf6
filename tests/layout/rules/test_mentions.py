"""Noun phrases: where they start, what they count, and what is a phrase at all."""

from __future__ import annotations

import pytest

from ttom.layout.rules.mentions import Mention, find_mentions
from ttom.layout.rules.tokens import tokenize


def mentions(prompt: str) -> list[Mention]:
    return find_mentions(prompt, tokenize(prompt))


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("A small, fluffy cat and two old dogs", ["fluffy cat", "old dogs"]),
        ("While dogs run, a bird sings", ["dogs", "bird"]),
        ("dog above cat", ["dog", "cat"]),
        ("A man with red", ["man"]),
        ("A red", []),
        ("A becoming", []),
        ("A dog chases each other", ["dog"]),
        ("A video of a cat", ["cat"]),
        ("A timelapse of a candle", ["candle"]),
        ("A piece of bread on a plate", ["bread", "plate"]),
        ("A bottle of wine", ["bottle"]),
        ("A wave of water", []),
        ("Two slices of pizza", ["slices"]),
        ("No cats and a dog", ["dog"]),
        ("A vase glossy and new", ["vase"]),
        ("A nearby tree and a round table", ["tree", "round table"]),
        ("A cat and a dog both enjoying a quiet afternoon", ["cat", "dog", "quiet afternoon"]),
    ],
)
def test_phrases(prompt: str, phrases: list[str]) -> None:
    assert [mention.phrase for mention in mentions(prompt)] == phrases


def test_what_a_mention_knows() -> None:
    (dogs,) = mentions("The three toy dogs")
    assert (dogs.first, dogs.words_first, dogs.end) == (0, 2, 4)
    assert (dogs.phrase, dogs.noun, dogs.count, dogs.kind, dogs.determiner) == (
        "toy dogs", "dog", 3, "number", "the three",
    )  # fmt: skip
    assert dogs.is_known
    assert not (dogs.is_scenery or dogs.is_frame or dogs.is_camera or dogs.is_style)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("The sea", "is_scenery"), ("The screen", "is_frame"), ("The camera", "is_camera"), ("The 3D pixels", "is_style")],
)
def test_kinds_of_things_without_a_box(prompt: str, name: str) -> None:
    (mention,) = mentions(prompt)
    assert getattr(mention, name)


def test_a_listed_thing_in_three_dimensions_is_a_thing() -> None:
    (mention,) = mentions("A 3D house")
    assert not mention.is_style
