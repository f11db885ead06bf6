"""Finding a phrase in a prompt."""

from __future__ import annotations

import pytest

from ttom.layout.rules.words import find_phrase


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("A dog and two dogs", "dogs", ["dog", "dogs"]),
        ("A catfish, a Cat's tail and cats.", "cat", ["Cat", "cats"]),
        ("two teddy-bears and a bear", "teddy bear", ["teddy-bears"]),
        ("three puppies, one puppy", "puppy", ["puppies", "puppy"]),
        ("leaves fall; a leaf", "leaf", ["leaves", "leaf"]),
        ("a red balloon and a blue balloon", "red balloon", ["red balloon"]),
        ("buses and a bus", "bus", ["buses", "bus"]),
        ("a dog", "cat", []),
        ("a dog", "", []),
        ("a dog", "a very long phrase", []),
        ("一只红色的猫向左跑", "猫", ["猫"]),
        ("一只红色的猫向左跑", "红色的猫", ["红色的猫"]),
    ],
)
def test_find_phrase(text: str, phrase: str, found: list[str]) -> None:
    assert [text[a:b] for a, b in find_phrase(text, phrase)] == found
