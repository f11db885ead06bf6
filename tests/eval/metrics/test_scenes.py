"""Facts of whole scenes from a judge's objects: what each score counts, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from eval.metrics.registry import Excluded, Metric, Subject, metrics_for
from eval.types import Case, ManifestRow, Question
from ttom.emojiworld.facts import Facts, Relation
from ttom.emojiworld.facts import Subject as Named
from ttom.emojiworld.nouns import INDEX

CAT, DOG = INDEX["cat"], INDEX["dog"]


def subject(facts: dict[str, Any]) -> Subject:
    case = Case(id="1", suite="toy", category="x", prompt="p", seed=0, video="x/1.mp4", facts=facts)
    return Subject(ManifestRow(identity="i", case=case, status="made", frames=17, fps=8))


def metrics_of(one: Subject) -> list[Metric]:
    """Those of this module."""
    return [metric for metric in metrics_for(one) if "blob" not in metric.name and metric.name != "box_facts"]


def item(noun: str, x: float, y: float, color: str | None = None, side: float = 0.2) -> dict[str, Any]:
    box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
    return {"noun": noun, "box": box, "score": 0.9, "phrase": "", "color": color}


def scores(facts: Facts, frames: Any) -> dict[str, float]:
    one = subject(facts.as_json())

    def ask(question: Question) -> Any:
        assert question == Question(kind="scene", options={"frames": 17})
        return frames

    return {metric.name: metric.score(one, ask) for metric in metrics_of(one)}


RELATION = Facts((Named(CAT, color="red"), Named(DOG, 2, counted=True)), (Relation(0, "left", 1),))
SHOWN = [item("cat", 0.2, 0.5, "red"), item("dog", 0.6, 0.4), item("dog", 0.8, 0.6), item("car", 0.5, 0.9)]


def test_everything_holds() -> None:
    assert scores(RELATION, [SHOWN] * 17) == {
        "all_facts": 1, "fact_share": 1, "presence": 1, "count": 1, "color": 1, "relation": 1, "no_extras": 1,
    }  # fmt: skip


def test_one_wrong_fact_is_one_share_and_the_headline() -> None:
    blue = [item("cat", 0.2, 0.5, "blue"), *SHOWN[1:]]
    found = scores(RELATION, [blue] * 17)
    assert found["color"] == 0 and found["relation"] == 0, "no red cat is left of the dogs"
    assert (found["presence"], found["count"], found["all_facts"]) == (1, 1, 0)
    assert found["fact_share"] == pytest.approx(3 / 5)
    few = scores(RELATION, [SHOWN[:2]] * 17)
    assert few["count"] == 0 and few["presence"] == 1 and few["fact_share"] == pytest.approx(4 / 5)


def test_what_is_seen_twice_without_being_counted_is_an_extra() -> None:
    cats = [*SHOWN, item("cat", 0.1, 0.1, "red")]
    assert scores(RELATION, [cats] * 17)["no_extras"] == 0
    assert scores(RELATION, [cats] * 8 + [SHOWN] * 9)["no_extras"] == 1, "the median frame counts"


def test_shares_of_movers() -> None:
    facts = Facts((Named(CAT, path=("left",)), Named(DOG, path=("up",))))
    frames = [[item("cat", 0.8 - 0.03 * i, 0.3), item("dog", 0.1, 0.2 + 0.03 * i)] for i in range(17)]
    found = scores(facts, frames)
    assert (found["direction"], found["fact_share"], found["all_facts"]) == (0.5, 0.75, 0)
    assert "relation" not in found and "zigzag" not in found


def test_only_cases_with_scenes_have_these_metrics() -> None:
    assert not metrics_for(subject({}))
    assert "fact_share" not in {metric.name for metric in metrics_for(subject({"nouns": ["cat"]}))}


@pytest.mark.parametrize(
    "answer", [[], 3, [[{"box": 3}]], [[{**SHOWN[0], "noun": "unicorn"}]], [[{**SHOWN[0], "box": [1, 2]}]]]
)
def test_answers_of_another_form_exclude(answer: Any) -> None:
    one = subject(RELATION.as_json())
    for metric in metrics_of(one):
        with pytest.raises(Excluded):
            metric.score(one, lambda question: answer)


def test_facts_of_another_form_exclude() -> None:
    one = subject({"subjects": [{"noun": "unicorn"}]})
    assert metrics_for(one)
    for metric in metrics_of(one):
        with pytest.raises(Excluded, match="facts"):
            metric.score(one, lambda question: [SHOWN])
