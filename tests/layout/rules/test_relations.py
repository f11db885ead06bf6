"""Relations between things, and parts of the picture."""

from __future__ import annotations

import pytest

from ttom.layout.rules.reading import Reading, is_object
from ttom.layout.rules.relations import find_between, find_places, find_relations


def relations(prompt: str, *, in_motion: bool = False) -> list[tuple[str, str, str]]:
    reading = Reading(prompt)
    objects = [mention for mention in reading.mentions if is_object(mention)]
    found = find_relations(reading, objects, in_motion=in_motion)
    return [(relation.subject.phrase, relation.kind, relation.reference.phrase) for relation in found]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("A cat on the left of a dog", [("cat", "left", "dog")]),
        ("A cat and a dog above a bird", [("cat", "above", "bird"), ("dog", "above", "bird")]),
        ("A cat near a lamp and a chair", [("cat", "beside", "lamp"), ("cat", "beside", "chair")]),
        ("A cat next to a dog, left of the dog", [("cat", "left", "dog")]),
        ("A cat under the sky", []),
        ("A cat sits on a chair", [("cat", "on", "chair")]),
        ("A vase on a credenza", [("vase", "on", "credenza")]),
        ("A cup placed on a round coaster", [("cup", "on", "round coaster")]),
        ("People collaborate on a project", []),
        ("People shake hands on a deal", []),
        ("A bird stands on one leg", []),
        ("A girl turns on a lamp", []),
        ("A lamp casts light onto a bottle", []),
        ("A car drives past a fence", [("car", "beside", "fence")]),
        ("A car drives past the fence", []),
    ],
)
def test_still_relations(prompt: str, found: list[tuple[str, str, str]]) -> None:
    assert relations(prompt) == found


def test_relations_in_motion() -> None:
    assert relations("A car drives left past a fence", in_motion=True) == [("car", "past", "fence")]
    assert relations("A car drives left towards the trees", in_motion=True) == []


def test_between() -> None:
    reading = Reading("A bird sits between a cat and a dog")
    found = [(r.kind, r.reference.phrase) for r in find_between(reading, reading.mentions)]
    assert found == [("right", "cat"), ("left", "dog")]


def test_places() -> None:
    reading = Reading("A kite in the top left corner, a dog on the right and a cat in the middle")
    found = {place.subject.phrase: (place.column, place.row) for place in find_places(reading, reading.mentions)}
    assert found == {"kite": (-1, -1), "dog": (1, 0), "cat": (0, 0)}
