"""Words and marks, and the determiners and numbers that start a phrase."""

from __future__ import annotations

import pytest

from ttom.errors import UserError
from ttom.layout.rules.tokens import determiner_at, text_at, tokenize


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("A cat, a dog.", ["a", "cat", ",", "a", "dog", "."]),
        ("3D pixels", ["3d", "pixels"]),
        ("a 5-year-old boy", ["a", "5-year-old", "boy"]),
        ("12 ducks", ["12", "ducks"]),
        ("close-up of a cat’s ear", ["close-up", "of", "a", "cat's", "ear"]),
        ("one\ntwo\n", ["one", ".", "two"]),
        ("猫が走る", ["猫が走る"]),
        ("", []),
    ],
)
def test_tokens(prompt: str, texts: list[str]) -> None:
    tokens = tokenize(prompt)
    assert [token.text for token in tokens] == texts
    assert all(prompt[token.start : token.end].lower().replace("’", "'") in (token.text, "\n") for token in tokens)


def test_beyond_the_ends_is_a_full_stop() -> None:
    tokens = tokenize("a cat")
    assert [text_at(tokens, index) for index in (-1, 0, 1, 2)] == [".", "a", "cat", "."]


@pytest.mark.parametrize(
    ("prompt", "kind", "number", "end"),
    [
        ("a cat", "indefinite", 1, 1),
        ("the cat", "definite", 1, 1),
        ("its cat", "possessive", 1, 1),
        ("cat", "bare", 1, 0),
        ("three cats", "number", 3, 1),
        ("the three cats", "number", 3, 2),
        ("twenty-two cats", "number", 22, 1),
        ("twenty two cats", "number", 22, 2),
        ("a couple of cats", "number", 2, 3),
        ("a dozen cats", "number", 12, 2),
        ("both cats", "number", 2, 1),
        ("both fish", "number", 2, 1),
        ("both enjoying", "bare", 1, 0),
        ("both run", "bare", 1, 0),
        ("both of them", "bare", 1, 0),
        ("each other", "absent", 0, 2),
        ("no cats", "absent", 1, 1),
        ("without a hat", "absent", 1, 2),
    ],
)
def test_determiners(prompt: str, kind: str, number: int, end: int) -> None:
    assert determiner_at(tokenize(prompt), 0) == (kind, number, end)


@pytest.mark.parametrize("prompt", ["0 cats", "25 cats", "a hundred cats", "two thousand cats", "9" * 5000 + " cats"])
def test_numbers_that_no_picture_shows(prompt: str) -> None:
    with pytest.raises(UserError, match="asks for"):
        determiner_at(tokenize(prompt), 0)
