"""EmojiWorld's facts from answers of a judge, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from eval.metrics.registry import Ask, Excluded, Subject, metrics_for
from eval.types import Case, ManifestRow, Question

FACTS = {
    "nouns": ["cat", "dog"],
    "directions": [["cat", "left"]],
    "relation": ["cat", "dog", "above"],
    "counts": [["dog", 2]],
}


def subject(facts: dict[str, Any]) -> Subject:
    case = Case(id="1", suite="toy", category="x", prompt="p", seed=0, video="x/1.mp4", facts=facts)
    return Subject(ManifestRow(identity="i", case=case, status="made", frames=17, fps=8))


def item(x: float, y: float) -> dict[str, Any]:
    return {"box": [x - 0.1, y - 0.1, x + 0.1, y + 0.1], "score": 0.9, "phrase": "?"}


def asker(by_noun: dict[str, list[list[dict[str, Any]]]]) -> Ask:
    def ask(question: Question) -> Any:
        assert question.kind == "detect" and question.options["frames"] == 17
        return by_noun[question.text]

    return ask


def scores(facts: dict[str, Any], by_noun: dict[str, list[list[dict[str, Any]]]]) -> dict[str, float]:
    one = subject(facts)
    return {metric.name: metric.score(one, asker(by_noun)) for metric in metrics_for(one)}


DOGS = [[item(0.3, 0.8), item(0.7, 0.8)]] * 17


def test_all_facts_hold() -> None:
    cat = [[item(0.8 - 0.6 * i / 16, 0.2)] for i in range(17)]
    assert scores(FACTS, {"cat": cat, "dog": DOGS}) == {
        "presence": 1.0, "direction": 1.0, "relation": 1.0, "count": 1.0, "all_facts": 1.0,
    }  # fmt: skip


def test_each_fact_fails_by_itself() -> None:
    left = [[item(0.8 - 0.6 * i / 16, 0.2)] for i in range(17)]
    still = [[item(0.5, 0.2)]] * 17
    assert scores(FACTS, {"cat": still, "dog": DOGS}) == {
        "presence": 1.0, "direction": 0.0, "relation": 1.0, "count": 1.0, "all_facts": 0.0,
    }  # fmt: skip
    three = [[*DOGS[0], item(0.5, 0.6)]] * 17
    assert scores(FACTS, {"cat": left, "dog": three})["count"] == 0.0
    seldom: list = [*left[:8], *[[]] * 9]  # in fewer than half of the frames
    assert scores(FACTS, {"cat": seldom, "dog": DOGS})["presence"] == 0.5
    assert scores(FACTS, {"cat": [[item(0.5, 0.95)]] * 17, "dog": DOGS})["relation"] == 0.0


def test_only_the_facts_that_a_case_has_are_metrics() -> None:
    names = {metric.name for metric in metrics_for(subject({"nouns": ["cat"]}))}
    assert names == {"presence", "all_facts"}
    assert not metrics_for(subject({}))


def test_unreadable_boxes_exclude() -> None:
    one = subject({"nouns": ["cat"]})
    for metric in metrics_for(one):
        with pytest.raises(Excluded):
            metric.score(one, lambda question: [{"box": 3}])
