"""Words that tell a direction, and words that only look like it."""

from __future__ import annotations

import pytest

from ttom.layout.rules.cues import BACK, find_cues, find_particles
from ttom.layout.rules.reading import Reading

CUES = {
    "A cat runs from left to right": [((1, 0), "from left to right", 2)],
    "A cat runs from the left edge of the screen": [((1, 0), "from the left edge of the screen", 2)],
    "A bird flies to the upper left corner": [((-1, -1), "to the upper left corner", 2)],
    "A bird flies from the bottom left to the top right": [((1, -1), "from the bottom left to the top right", 2)],
    "A bird flies from the left to the top": [((1, -1), "from the left to the top", 2)],
    "A bird flies up and to the right": [((1, -1), "up and to the right", 2)],
    "A bird flies right and down": [((1, 1), "right and down", 2)],
    "A cat moves leftwards": [((-1, 0), "leftwards", 2)],
    "A cat moves right, then up": [((1, 0), "right", 2), ((0, -1), "up", 2)],
    "A cat goes left and then back": [((-1, 0), "left", 2), (BACK, "and then back", 2)],
    "A kite soars into the sky": [((0, -1), "into the sky", 1)],
    "A cup slides off a table": [((0, 1), "off a table", 1)],
    "A rocket takes off": [((0, -1), "takes off", 1)],
    "A stone falls": [((0, 1), "falls", 0)],
    "A falling leaf": [((0, 1), "falling", 0)],
    "A girl throws a ball up": [((0, -1), "up", 2)],
}


@pytest.mark.parametrize("prompt", CUES)
def test_directions(prompt: str) -> None:
    assert [(cue.step, cue.text, cue.strength) for cue in find_cues(Reading(prompt))] == CUES[prompt]


@pytest.mark.parametrize(
    "prompt",
    [
        "A man cleans up", "A fire burns down", "A lamp lights up", "A child grows up", "A car speeds up",
        "A man turns down the music", "A man looks left", "A cat sits to the left", "To the left, a dog barks",
        "A cat to the left of a dog", "A man walks down the road", "A man walks up to a door", "A woman with red rose",
        "A boy falls asleep", "A man lifts weights", "The dough rises from a ball into a loaf", "A cat on its back",
        "A dog right next to a cat", "A frog splashes water into the air", "A man looks quickly left",
    ],
)  # fmt: skip
def test_no_directions(prompt: str) -> None:
    assert find_cues(Reading(prompt)) == []


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A house burning down", [("burning", "down")]),
        ("A man picks a ball up", [("picks", "up")]),
        ("A man looks quickly left", [("looks", "left")]),
        ("A man cleans up and a dog lies down", [("cleans", "up"), ("lies", "down")]),
        ("A girl throws a ball up", []),
        ("A cat runs left", []),
        ("A cat sits to the left of a dog", []),
        ("A cat stands left of a dog", []),
        ("A cat sits right next to a dog", []),
        ("A boy holds the left shoe", []),
    ],
)
def test_particles_of_verbs(prompt: str, said: list[tuple[str, str]]) -> None:
    reading = Reading(prompt)
    particles = find_particles(reading, find_cues(reading))
    assert [(reading.word(verb), reading.word(index)) for verb, index in particles.items()] == said
