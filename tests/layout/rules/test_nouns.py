"""Where a noun phrase ends and its clause's verb begins."""

from __future__ import annotations

import pytest

from ttom.layout.rules.mentions import find_mentions
from ttom.layout.rules.nouns import compound_length, head_noun, is_free_noun, may_be_noun, noun_ahead
from ttom.layout.rules.tokens import tokenize


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("Knife sharpens pencil", "Knife"),
        ("Glass shatters when hit", "Glass"),
        ("The mushroom cap expands, going flat", "mushroom cap"),
        ("The concrete hardens", "concrete"),
        ("Street performers dance", "Street performers"),
        ("The street performers are loud", "street performers"),
        ("The flower pots on the shelf are red", "flower pots"),
        ("Linen curtains blowing in the wind", "Linen curtains"),
        ("Fluffy clouds drift", "Fluffy clouds"),
        ("A green pepper turning red", "green pepper"),
        ("Red toaster toasting bread", "Red toaster"),
        ("A sleek running shoe falls", "sleek running shoe"),
        ("A wooden steering wheel", "wooden steering wheel"),
        ("A girl painting a wall", "girl"),
        ("A farm building burns", "farm building"),
        ("A cap playing soccer", "cap"),
        ("A cat's green eyes shine", "cat's green eyes"),
        ("Three wooden boats drift", "wooden boats"),
        ("Three toy cars drive", "toy cars"),
        ("A cat and a dog walk to the right", "cat"),
        ("The camera pans left", "camera"),
        ("A hot air balloon floats", "hot air balloon"),
        ("The right shoe moves", "right shoe"),
    ],
)
def test_the_first_phrase(prompt: str, phrase: str) -> None:
    assert find_mentions(prompt, tokenize(prompt))[0].phrase == phrase


@pytest.mark.parametrize(
    ("text", "length"), [("hot air balloon rises", 3), ("ice cream cone", 3), ("ice cream", 2), ("ice", 0), ("", 0)]
)
def test_compounds(text: str, length: int) -> None:
    assert compound_length(tokenize(text), 0) == length


@pytest.mark.parametrize(
    ("words", "noun"), [("shiny toy cars", "toy car"), ("old dogs", "dog"), ("red teddy bears", "teddy bear")]
)
def test_heads(words: str, noun: str) -> None:
    assert head_noun(words.split()) == noun


def test_kinds_of_words() -> None:
    assert noun_ahead(tokenize("big flying bird"), 0)
    assert not noun_ahead(tokenize("big flying quickly"), 0)
    assert [word for word in ("badger", "runs", "walking", "old", "axe's") if is_free_noun(word)] == ["badger"]
    assert [word for word in ("orange", "red", "running", "gnu") if may_be_noun(word)] == ["orange", "gnu"]
