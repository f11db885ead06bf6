"""English that more than one room needs: plurals against inflect, and phrases found in a text."""

from __future__ import annotations

import inflect
import pytest

from ttom.layout.english import KNOWN_NOUNS, PAIRED, find_phrase, is_plural, singular


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


@pytest.mark.parametrize(
    ("noun", "one"),
    [
        ("buses", "bus"), ("octopus", "octopus"), ("soccer balls", "soccer ball"), ("glasses", "glasses"),
        ("gases", "gas"), ("Women", "woman"), ("salespeople", "salesperson"), ("species", "species"),
        ("jellyfish", "jellyfish"), ("taxis", "taxi"), ("specimen", "specimen"), ("", ""),
    ],
)  # fmt: skip
def test_singular(noun: str, one: str) -> None:
    assert singular(noun) == one


def test_plurals_agree_with_inflect() -> None:
    """An independent reference for every common noun; inflect only makes the plural, which it does well."""
    engine = inflect.engine()
    nouns = sorted(KNOWN_NOUNS - PAIRED - {"dice", "people"})
    plurals = {noun: str(engine.plural_noun(noun)) for noun in nouns}
    assert {plural: singular(plural) for plural in plurals.values()} == {many: one for one, many in plurals.items()}
    assert [many for one, many in plurals.items() if one != many and not is_plural(many)] == []
