"""EmojiWorld's facts: whether a video shows the nouns, directions, relation and counts of its prompt.

A case's facts name nouns as captions spell them: "nouns" ["cat", "dog"], "directions" [["cat", "left"]], "relation"
["cat", "dog", "above"] and "counts" [["cat", 3]]; only "nouns" is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eval.metrics import detections
from eval.metrics.frames import WHOLE
from eval.metrics.registry import Ask, Metric, Subject, register
from eval.types import Question
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import THRESHOLD, Detection
from ttom.emojiworld.nouns import INDEX

Frames = list[list[Detection]]


def presence(frames: Frames, facts: dict[str, Any]) -> float:
    """Share of the nouns that are seen in at least half of the frames."""
    return float(np.mean([metrics.presence(frames, INDEX[noun]) for noun in facts["nouns"]]))


def direction(frames: Frames, facts: dict[str, Any]) -> float:
    """Share of the moving nouns that move as told."""
    right = [metrics.direction(frames, INDEX[noun]) == way for noun, way in facts["directions"]]
    return float(np.mean(right))


def relation(frames: Frames, facts: dict[str, Any]) -> float:
    """1 if the first noun lies as told to the second in at least half of the frames."""
    first, second, how = facts["relation"]
    return float(metrics.relation_share(frames, INDEX[first], INDEX[second], how) >= 0.5)


def count(frames: Frames, facts: dict[str, Any]) -> float:
    """1 if in the median over frames the number of every counted noun is exact."""
    return float(metrics.count_exact(frames, [(INDEX[noun], number) for noun, number in facts["counts"]]))


def all_facts(frames: Frames, facts: dict[str, Any]) -> float:
    """1 if every fact holds."""
    return float(all(holds(frames, facts) == 1 for fact, _, holds, _ in _FACTS if facts.get(fact)))


_FACTS = (
    ("nouns", "presence", presence, False),
    ("directions", "direction", direction, False),
    ("relation", "relation", relation, True),
    ("counts", "count", count, True),
)


def _questions(subject: Subject) -> list[Question]:
    return [detections.question(noun, WHOLE, THRESHOLD) for noun in sorted(set(subject.case.facts["nouns"]))]


def _frames(subject: Subject, ask: Ask) -> Frames:
    by_noun = {question.text: detections.parse(ask(question)) for question in _questions(subject)}
    length = min(len(frames) for frames in by_noun.values())
    return [
        [Detection(INDEX[noun], one.score, one.box) for noun, frames in by_noun.items() for one in frames[i]]
        for i in range(length)
    ]


def _register(name: str, fact: str, holds: Callable[[Frames, dict[str, Any]], float], binary: bool) -> None:
    def applies(subject: Subject) -> bool:
        return bool(subject.case.facts.get(fact)) and "nouns" in subject.case.facts

    def score(subject: Subject, ask: Ask) -> float:
        return holds(_frames(subject, ask), subject.case.facts)

    register(Metric(name, applies, _questions, score, binary))


for _fact, _name, _holds, _binary in _FACTS:
    _register(_name, _fact, _holds, _binary)
_register("all_facts", "nouns", all_facts, True)
