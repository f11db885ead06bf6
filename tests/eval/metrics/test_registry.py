"""Which metrics a case has, and what they ask together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eval.metrics.registry import Excluded, Metric, Subject, metrics_for, questions_about, register, unregister
from eval.types import ManifestRow, Question
from tests.eval.cases import case

RED, BLUE = (Question(kind="detect", text=color) for color in ("red", "blue"))


def subject(**changes: Any) -> Subject:
    return Subject(ManifestRow(identity="i", case=case(1), status="made", frames=9).model_copy(update=changes))


def metric(name: str, *questions: Question, applies: bool = True) -> Metric:
    return Metric(name, lambda _: applies, lambda _: questions, lambda _, ask: ask(questions[0]))


@pytest.fixture
def registered() -> Iterator[list[Metric]]:
    made = [metric("toy_a", RED, BLUE), metric("toy_b", BLUE), metric("toy_c", RED, applies=False)]
    yield [register(one) for one in made]
    for one in made:
        unregister(one.name)


def test_metrics_say_which_cases_they_apply_to(registered: list[Metric]) -> None:
    found = [one for one in metrics_for(subject()) if one.name.startswith("toy_")]
    assert found == registered[:2]


def test_equal_questions_are_asked_once(registered: list[Metric]) -> None:
    asked = questions_about(subject())
    assert [asked.count(question) for question in (RED, BLUE)] == [1, 1]


def test_a_name_is_forgotten_with_all_that_bear_it(registered: list[Metric]) -> None:
    register(metric("toy_c", RED))
    unregister("toy_c")
    assert "toy_c" not in {one.name for one in metrics_for(subject())}


def test_two_metrics_of_one_case_have_two_names(registered: list[Metric]) -> None:
    register(metric("toy_a", RED))
    with pytest.raises(ValueError, match="are called 'toy_a'"):
        metrics_for(subject())


def test_a_metric_that_excludes_the_case_asks_nothing(registered: list[Metric]) -> None:
    def too_short(_: Subject) -> list[Question]:
        raise Excluded("too few frames")

    register(Metric("toy_d", lambda _: True, too_short, lambda _, ask: 0.0))
    try:
        asked = questions_about(subject())
        assert RED in asked and BLUE in asked
    finally:
        unregister("toy_d")


def test_frames_that_the_manifest_does_not_say_exclude() -> None:
    assert subject().frames == 9
    with pytest.raises(Excluded, match="no number of frames"):
        _ = subject(frames=None).frames
