"""Whether a video shows every fact of an EmojiWorld scene; for suites whose cases carry `Facts.as_json`.

A judge names all objects that it sees, with boxes and colors; `ttom/emojiworld/judging.py` has the rules. "all_facts"
is the headline: everything that the prompt states is shown. Beside it stand the share of the facts that hold, and the
share of each sort of fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from eval.metrics.detections import parse_box
from eval.metrics.frames import WHOLE
from eval.metrics.registry import Ask, Excluded, Metric, Subject, register
from eval.types import Question
from ttom.emojiworld.detector import Detection
from ttom.emojiworld.facts import Facts
from ttom.emojiworld.judging import FactName, Verdict, all_hold, has_extras, judge
from ttom.emojiworld.nouns import INDEX

Frames = list[list[Detection]]


def facts_of(subject: Subject) -> Facts:
    """The facts of a case. Raises Excluded if they cannot be read."""
    try:
        return Facts.from_json(subject.case.facts)
    except ValueError as error:
        raise Excluded("the case's facts cannot be read") from error


def _questions(subject: Subject) -> list[Question]:
    return [Question(kind="scene", options={"frames": WHOLE})]


def _frames(subject: Subject, ask: Ask) -> Frames:
    value = ask(_questions(subject)[0])
    try:
        frames = [[_detection(item) for item in frame] for frame in value]
    except (TypeError, KeyError, ValueError) as error:
        raise Excluded("a judge's objects cannot be read") from error
    if not frames:
        raise Excluded("a judge's objects cannot be read")
    return frames


def _detection(item: dict[str, Any]) -> Detection:
    color = item["color"]
    return Detection(INDEX[item["noun"]], float(item["score"]), parse_box(item["box"]), color and str(color))


def _has_scene(subject: Subject) -> bool:
    return "subjects" in subject.case.facts


def _register(name: str, measure: Callable[[list[Verdict]], float], binary: bool = False) -> None:
    def score(subject: Subject, ask: Ask) -> float:
        return measure(judge(facts_of(subject), _frames(subject, ask)))

    register(Metric(name, _has_scene, _questions, score, binary))


def _register_sort(name: FactName) -> None:
    """The share of the facts of one sort, for cases that have some."""

    def measure(verdicts: list[Verdict]) -> float:
        return float(np.mean([verdict.holds for verdict in verdicts if verdict.name == name]))

    def applies(subject: Subject) -> bool:
        if not _has_scene(subject):
            return False
        try:
            return name in {verdict.name for verdict in judge(Facts.from_json(subject.case.facts), [[]])}
        except ValueError:
            return False

    def score(subject: Subject, ask: Ask) -> float:
        return measure(judge(facts_of(subject), _frames(subject, ask)))

    register(Metric(name, applies, _questions, score))


def _no_extras(subject: Subject, ask: Ask) -> float:
    """1 unless the median frame shows more of some noun of the prompt than it names, counted or not."""
    return float(not has_extras(facts_of(subject), _frames(subject, ask)))


_register("all_facts", lambda verdicts: float(all_hold(verdicts)), binary=True)
_register("fact_share", lambda verdicts: float(np.mean([verdict.holds for verdict in verdicts])))
for _name in get_args(FactName):
    _register_sort(_name)
register(Metric("no_extras", _has_scene, _questions, _no_extras, binary=True))
