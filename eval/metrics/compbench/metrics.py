"""The seven categories as metrics: which facts of a case they read, what they ask judges, and which function scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eval.metrics import detections, frames
from eval.metrics.arrays import decode
from eval.metrics.compbench import CATEGORIES, detection, dialogues, language
from eval.metrics.compbench import motion as moving
from eval.metrics.dialogues import question as dialogue_question
from eval.metrics.registry import Ask, Excluded, Metric, Subject, register
from eval.types import Question

SEEDS = (0, 1, 2)
DEEP = ("in front of", "behind")


def _applies(name: str, *facts: str) -> Callable[[Subject], bool]:
    folder = CATEGORIES[name].folder
    return lambda subject: subject.case.category == folder and all(fact in subject.case.facts for fact in facts)


def _dialogues(name: str, temperature: float, seeds: Sequence[int], *facts: str) -> Callable[[Subject], list[Question]]:
    def questions(subject: Subject) -> list[Question]:
        told = {fact: subject.case.facts[fact] for fact in facts} or {"prompt": subject.case.prompt}
        return [dialogue_question(name, told, temperature, seed) for seed in seeds]

    return questions


def _register_dialogue(name: str, dialogue: str, facts: tuple[str, ...], score: Callable[[Any, bool], float]) -> None:
    once = name == "dynamic"  # asked once at temperature 0, the others with three seeds
    questions = _dialogues(dialogue, 0.0 if once else 0.1, SEEDS[:1] if once else SEEDS, *facts)

    def scored(subject: Subject, ask: Ask) -> float:
        try:
            answers = [ask(question)["choices"] for question in questions(subject)]
            return score(answers[0] if once else answers, subject.parity)
        except (KeyError, TypeError, ValueError) as error:
            raise Excluded("a judge's choices cannot be read") from error

    register(Metric(name, _applies(name, *facts), questions, scored))


_register_dialogue("consistent", dialogues.CONSISTENT, ("phrases",), lambda seeds, _: language.consistent(seeds))
_register_dialogue(
    "dynamic", dialogues.DYNAMIC, ("state 0", "state 1"), lambda c, _: language.dynamic(c["states"], c["middle"])
)
_register_dialogue(
    "action", dialogues.ACTION, ("phrase_0", "phrase_1"), lambda seeds, parity: language.action(seeds, parity=parity)
)
_register_dialogue("interaction", dialogues.INTERACTION, (), lambda seeds, _: language.interaction(seeds))


def _check_sampled(subject: Subject) -> None:
    if subject.frames < frames.SAMPLED:
        raise Excluded(f"fewer than {frames.SAMPLED} frames")


def _counted(subject: Subject) -> list[tuple[str, int]]:
    """ "fish, frog" and "2, 5" -> [("fish", 2), ("frog", 5)]."""
    objects, numbers = (str(subject.case.facts[name]).split(",") for name in ("objects", "numbers"))
    try:
        return [(phrase.strip(), int(number)) for phrase, number in zip(objects, numbers, strict=True)]
    except ValueError as error:
        raise Excluded("objects and numbers of the metadata do not match") from error


def _numeracy_questions(subject: Subject) -> list[Question]:
    _check_sampled(subject)
    return [detections.question(phrase, frames.SAMPLED, detection.NUMERACY_BOX) for phrase, _ in _counted(subject)]


def _numeracy(subject: Subject, ask: Ask) -> float:
    found = [detections.parse(ask(question)) for question in _numeracy_questions(subject)]
    by_object = [(*counted, boxes) for counted, boxes in zip(_counted(subject), found, strict=True)]
    return detection.numeracy(by_object, parity=subject.parity)


def _spatial_questions(subject: Subject) -> list[Question]:
    _check_sampled(subject)
    deep = subject.case.facts["spatial"] in DEEP
    kind = "segment" if deep else "detect"
    boxes = [
        detections.question(subject.case.facts[name], frames.SAMPLED, detection.SPATIAL_BOX, kind)
        for name in ("object_1", "object_2")
    ]
    return [*boxes, Question(kind="depth", options={"frames": frames.SAMPLED})] if deep else boxes


def _spatial(subject: Subject, ask: Ask) -> float:
    facts = subject.case.facts
    names = facts["spatial"], facts["object_1"], facts["object_2"]
    first, second, *depth = _spatial_questions(subject)
    found = detections.parse(ask(first)), detections.parse(ask(second))
    if not depth:
        return detection.spatial_2d(*names, found, parity=subject.parity)
    return detection.spatial_3d(*names, found, _array(ask(depth[0]), 3), parity=subject.parity)


def _moving(subject: Subject) -> list[tuple[str, str]]:
    """The phrase and direction of one or two objects."""
    facts = subject.case.facts
    return [(facts[f"object_{i}"], facts[f"d_{i}"]) for i in (1, 2) if facts.get(f"d_{i}")]


def _motion_questions(subject: Subject) -> list[Question]:
    """Masks of each object alone and of all together, in the first frame, and point tracks."""
    if not subject.row.fps:
        raise Excluded("the manifest has no frame rate")
    number = len(frames.motion(subject.frames, subject.row.fps))
    if not number:
        raise Excluded("shorter than a second")
    phrases = [phrase for phrase, _ in _moving(subject)]
    every = " . ".join(phrases)
    masks = [detections.question(text, 1, moving.BOX, "segment") for text in [*phrases, every]]
    return [*masks, Question(kind="track", text=every, options={"frames": number})]


def _motion(subject: Subject, ask: Ask) -> float:
    *masks, track = _motion_questions(subject)
    objects = _moving(subject)
    answer = ask(track)
    tracks, visible = (_array(answer.get(name) if isinstance(answer, dict) else None, n) for name, n in _TRACKS)
    if tracks.shape[:2] != visible.shape or tracks.shape[2] != 2 or visible.dtype != bool or not len(tracks):
        raise Excluded("a judge's tracks cannot be read")
    found = [detections.parse(ask(question))[0] for question in masks]
    moves = []
    for boxes in found[:-1]:
        best = max(boxes, key=lambda one: one.score, default=None)
        inside = None if best is None else _inside(tracks[0], [best])
        moves.append(None if inside is None else moving.displacement(tracks, visible, inside))
    if subject.parity:
        moves = moving.in_directory_order([phrase for phrase, _ in objects], moves)
    everything = found[-1]
    if not everything and not subject.parity:  # the joint question found nothing, the single ones may have
        everything = [one for boxes in found[:-1] for one in boxes]
    background = moving.displacement(tracks, visible, ~_inside(tracks[0], everything)) if everything else None
    return moving.motion([direction for _, direction in objects], moves, background)


_TRACKS = (("tracks", 3), ("visible", 2))


def _inside(points: np.ndarray, found: Sequence[detections.Found]) -> np.ndarray:
    """Which of the points ``(N, 2)`` lie in one of the masks: ``(N,)`` bool."""
    inside = np.zeros(len(points), bool)
    for one in found:
        mask = _array(one.mask, 2)
        size = np.array(mask.shape[::-1])
        x, y = np.clip((points * size).astype(int), 0, size - 1).T
        inside |= mask[y, x].astype(bool)
    return inside


def _array(value: Any, dimensions: int) -> np.ndarray:
    try:
        array = decode(value)
    except ValueError as error:
        raise Excluded("a judge's array cannot be read") from error
    if array.ndim != dimensions or not array.size:
        raise Excluded("a judge's array has another shape")
    return array


register(Metric("numeracy", _applies("numeracy", "objects", "numbers"), _numeracy_questions, _numeracy))
register(Metric("spatial", _applies("spatial", "spatial", "object_1", "object_2"), _spatial_questions, _spatial))
register(Metric("motion", _applies("motion", "object_1", "d_1"), _motion_questions, _motion))
