"""Scores of the judge without learning, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from eval.metrics.registry import Excluded, Subject, metrics_for
from eval.types import Case, ManifestRow, Question

FACTS = {"subjects": [{"noun": "cat", "color": "red"}, {"noun": "dog", "path": ["right"]}]}


def subject(facts: dict[str, Any]) -> Subject:
    case = Case(id="1", suite="toy", category="x", prompt="p", seed=0, video="x/1.mp4", facts=facts)
    return Subject(ManifestRow(identity="i", case=case, status="made", frames=17, fps=8))


def item(x: float, y: float, color: str, noun: str = "bird") -> dict[str, Any]:
    return {"box": [x - 0.1, y - 0.1, x + 0.1, y + 0.1], "color": color, "noun": noun, "score": 0.9}


def video(color: str = "red", moved: float = 0.6) -> list[list[dict[str, Any]]]:
    return [[item(0.2, 0.2, color), item(0.2 + moved * i / 16, 0.8, "brown")] for i in range(17)]


def scores(blobs: Any, boxes: Any) -> dict[str, float]:
    def ask(question: Question) -> Any:
        return {"blobs": blobs, "scene": boxes}[question.kind]

    one = subject(FACTS)
    names = {"blob_facts", "blob_number", "blob_motion", "blob_color", "box_facts", "blobs_agree"}
    return {metric.name: metric.score(one, ask) for metric in metrics_for(one) if metric.name in names}


def test_they_agree_on_a_right_video_and_on_a_wrong_one() -> None:
    right = dict.fromkeys(("blob_facts", "blob_number", "blob_motion", "blob_color", "box_facts", "blobs_agree"), 1.0)
    assert scores(video(), video()) == right
    wrong = right | {"blob_facts": 0, "box_facts": 0, "blob_color": 0}
    assert scores(video("blue"), video("blue")) == wrong


def test_they_disagree() -> None:
    found = scores(video(moved=0), video())
    assert (found["blob_facts"], found["box_facts"], found["blobs_agree"]) == (0, 1, 0)
    assert found["blob_motion"] == 0 and found["blob_number"] == 1


def test_only_cases_with_colors_or_numbers_have_these_scores() -> None:
    names = {metric.name for metric in metrics_for(subject({"subjects": [{"noun": "cat", "passage": "enters"}]}))}
    assert "blob_facts" in names and not names & {"blob_color", "blob_number"}


@pytest.mark.parametrize("answer", [[], 3, [[{"box": 3}]], [[{"box": [0, 0, 1, 1]}]]])
def test_answers_of_another_form_exclude(answer: Any) -> None:
    one = subject(FACTS)
    for metric in metrics_for(one):
        with pytest.raises(Excluded):
            metric.score(one, lambda question: answer)
