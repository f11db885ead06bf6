"""The questions that the rules ask of a prompt."""

from __future__ import annotations

import pytest

from ttom.layout.rules.reading import Reading, is_object


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("A cat runs and a dog sits", ["cat", "dog"]),
        ("A cat chases a mouse", ["cat"]),
        ("In the garden a cat runs", ["cat"]),
        ("There is a cat on a mat", ["cat"]),
        ("The cat is a tabby", ["cat"]),
        ("The boy pretends to be a doctor", ["boy"]),
        ("A boy and a girl have a meal", ["boy", "girl"]),
        ("A robot with a hat walks", ["robot"]),
        ("With a car driving left, a dog barks", ["car", "dog"]),
        ("A bird between a cat and a dog", ["bird"]),
        ("A video of a turtle swimming", ["turtle"]),
        ("The camera pans over a cat", ["camera"]),
    ],
)
def test_subjects(prompt: str, subjects: list[str]) -> None:
    assert [mention.phrase for mention in Reading(prompt).subjects] == subjects


def test_places_in_the_text() -> None:
    reading = Reading("A red cat runs to the left of a dog")
    cat, dog = (mention for mention in reading.mentions if is_object(mention))
    assert (cat.phrase, dog.phrase) == ("red cat", "dog")
    assert reading.mention_from(0) == cat == reading.mention_until(3)
    assert reading.mention_from(1) is None
    assert [reading.in_mention(index) for index in range(4)] == [True, True, True, False]
    assert [reading.token_at(offset) for offset in (0, 1, 2, 6, 999)] == [0, 1, 1, 2, len(reading.tokens)]
    assert reading.word(-1) == reading.word(999) == "."
    assert reading.subject_before(5) == cat
    assert reading.verb_before(5) == 3
    assert reading.verb_before(3) is None


def test_the_same_thing_by_its_first_name() -> None:
    reading = Reading("A brown dog sits. The dog runs. A dog barks.")
    first, again, other = reading.mentions
    assert reading.first_of(again) == first
    assert reading.first_of(other) == other


def test_what_and_joins() -> None:
    reading = Reading("A cat, a dog and a bird run")
    assert [mention.phrase for mention in reading.joined_subjects(reading.mentions[2])] == ["cat", "dog", "bird"]
