"""Whether a video shows every fact of an EmojiWorld scene; for suites whose cases carry `Facts.as_json`.

A judge names all objects that it sees, with boxes and colors; `ttom/emojiworld/judging.py` has the rules. "all_facts"
is the headline: everything that the prompt states is shown. Beside it stand the share of the facts that hold, and the
share of each sort of fact. "no_extras" is 1 unless the median frame shows more of a noun than the prompt names.
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


def has_scene(subject: Subject) -> bool:
    """Whether the case carries the facts of a scene."""
    return isinstance(subject.case.facts.get("subjects"), list)


def facts_of(subject: Subject) -> Facts:
    """The facts of a case. Raises Excluded if they cannot be read."""
    try:
        return Facts.from_json(subject.case.facts)
    except ValueError as error:
        raise Excluded("the case's facts cannot be read") from error


def questions(subject: Subject) -> list[Question]:
    """What the judge is asked: all objects of the video."""
    return [Question(kind="scene", options={"frames": WHOLE})]


def scene_frames(subject: Subject, ask: Ask) -> Frames:
    """The objects in each frame. Raises Excluded if they cannot be read."""
    value = ask(questions(subject)[0])
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


def _verdicts(subject: Subject, ask: Ask) -> list[Verdict]:
    return judge(facts_of(subject), scene_frames(subject, ask))


def _share(name: FactName) -> Callable[[Subject, Ask], float]:
    def score(subject: Subject, ask: Ask) -> float:
        return float(np.mean([verdict.holds for verdict in _verdicts(subject, ask) if verdict.name == name]))

    return score


def _states(name: FactName) -> Callable[[Subject], bool]:
    """Whether a case has facts of a sort: no frames at all tell which verdicts there will be."""

    def states(subject: Subject) -> bool:
        if not has_scene(subject):
            return False
        try:
            return any(verdict.name == name for verdict in judge(facts_of(subject), [[]]))
        except Excluded:
            return False  # counted once, in all_facts

    return states


def _all_facts(subject: Subject, ask: Ask) -> float:
    return float(all_hold(_verdicts(subject, ask)))


def _fact_share(subject: Subject, ask: Ask) -> float:
    return float(np.mean([verdict.holds for verdict in _verdicts(subject, ask)]))


def _no_extras(subject: Subject, ask: Ask) -> float:
    return float(not has_extras(facts_of(subject), scene_frames(subject, ask)))


register(Metric("all_facts", has_scene, questions, _all_facts, binary=True))
register(Metric("fact_share", has_scene, questions, _fact_share))
for _name in get_args(FactName):
    register(Metric(_name, _states(_name), questions, _share(_name)))
register(Metric("no_extras", has_scene, questions, _no_extras, binary=True))
