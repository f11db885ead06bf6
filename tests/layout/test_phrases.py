"""The prompt's own words for an object, and the counts of a plan against those of its prompt."""

from __future__ import annotations

import pytest

from ttom.layout.phrases import count_problems, nearest_phrase, without_determiner


@pytest.mark.parametrize(
    ("phrase", "noun", "found"),
    [
        ("red balloon", "balloon", "red balloon"),
        ("The Red Balloon", "balloon", "red balloon"),
        ("shiny red balloon", "balloon", "red balloon"),
        ("red balloons", "balloon", "red balloon"),
        ("rde baloon", "thing", "red balloon"),
        ("something", "house", "house"),
        ("zebra", "zebra", None),
        ("", "", None),
    ],
)
def test_the_nearest_words(phrase: str, noun: str, found: str | None) -> None:
    assert nearest_phrase("A red balloon above a house", phrase, noun) == found


@pytest.mark.parametrize(
    ("phrase", "bare"),
    [
        ("a cat", "cat"),
        ("the two cats", "cats"),
        ("a pair of boots", "boots"),
        ("three", "three"),
        ("his 3 dogs", "dogs"),
    ],
)
def test_determiners_go(phrase: str, bare: str) -> None:
    assert without_determiner(phrase) == bare


def objects(**counts: int) -> list[tuple[str, str]]:
    return [(noun, noun) for noun, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("prompt", "planned", "wrong"),
    [
        ("Two dogs and a cat", {"dog": 2, "cat": 1}, []),
        ("Two dogs and a cat", {"dog": 1, "cat": 1}, ['"two dogs", but 1']),
        ("Two dogs and a cat", {"dog": 3, "cat": 1}, ['"two dogs", but 3']),
        ("Several dogs", {"dog": 5}, []),
        ("Several dogs", {"dog": 1}, ['"several dogs", but 1']),
        ("Three dogs. The three dogs run.", {"dog": 3}, []),
        ("A dog runs for five seconds", {"dog": 1}, []),
        ("500 dogs", {"dog": 7}, []),
    ],
)
def test_counts(prompt: str, planned: dict[str, int], wrong: list[str]) -> None:
    problems = count_problems(prompt, objects(**planned))
    assert len(problems) == len(wrong)
    assert all(expected in problem for expected, problem in zip(wrong, problems, strict=True))


def test_each_kind_by_itself() -> None:
    prompt = "Two red cars and one blue car"
    assert count_problems(prompt, [("red cars", "car"), ("red cars", "car"), ("blue car", "car")]) == []
    (first, second) = count_problems(prompt, [("red cars", "car"), ("blue car", "car"), ("blue car", "car")])
    assert '"two red cars", but 1' in first
    assert '"one blue car", but 2' in second
