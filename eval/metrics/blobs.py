"""What a judge without learning says of EmojiWorld's scenes, and how far the detector agrees with it.

"blob_facts": the blobs of a video can be given to the things of its scene so that number, motion, colors and relations
hold; nouns are not looked at, so it is easier than "all_facts". "box_facts" is the same of the detector's boxes without
their nouns, and "blobs_agree" whether the two say the same: its mean is their agreement. Where a video was chosen among
several tries by the detector, "all_facts" is asked of the one who chose; "blob_facts" is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eval.metrics.detections import parse_box
from eval.metrics.registry import Ask, Excluded, Metric, Subject, register
from eval.metrics.scenes import facts_of, has_scene, questions, scene_frames
from eval.types import Question
from ttom.emojiworld import blobs
from ttom.emojiworld.blobs import BlindName, Blob


def _blob_questions(subject: Subject) -> list[Question]:
    return [Question(kind="blobs", options={"frames": blobs.FRAMES})]


def _blobs(subject: Subject, ask: Ask) -> dict[BlindName, bool]:
    value = ask(_blob_questions(subject)[0])
    try:
        frames = [[_blob(item) for item in frame] for frame in value]
    except (TypeError, KeyError, ValueError) as error:
        raise Excluded("a judge's blobs cannot be read") from error
    return _judged(subject, frames)


def _blob(item: dict[str, Any]) -> Blob:
    return Blob(parse_box(item["box"]), str(item["color"]))


def _boxes(subject: Subject, ask: Ask) -> dict[BlindName, bool]:
    return _judged(subject, blobs.without_nouns(scene_frames(subject, ask)))


def _judged(subject: Subject, frames: Sequence[Sequence[Blob]]) -> dict[BlindName, bool]:
    facts = facts_of(subject)
    if not frames:
        raise Excluded("a judge's blobs cannot be read")
    return blobs.judge(facts, frames)


def _register(name: BlindName, says: Callable[[Subject], bool]) -> None:
    def score(subject: Subject, ask: Ask) -> float:
        return float(_blobs(subject, ask)[name])

    register(Metric(f"blob_{'facts' if name == 'all' else name}", says, _blob_questions, score, binary=True))


def _says(what: Callable[[dict[str, Any]], bool]) -> Callable[[Subject], bool]:
    """Whether a case has a scene of which some subject says this."""

    def says(subject: Subject) -> bool:
        return has_scene(subject) and any(isinstance(row, dict) and what(row) for row in subject.case.facts["subjects"])

    return says


_register("all", has_scene)
_register("number", _says(lambda row: "passage" not in row))
_register("motion", has_scene)
_register("color", _says(lambda row: "color" in row))
register(Metric("box_facts", has_scene, questions, lambda s, ask: float(_boxes(s, ask)["all"]), binary=True))
register(
    Metric(
        "blobs_agree",
        has_scene,
        lambda subject: [*_blob_questions(subject), *questions(subject)],
        lambda subject, ask: float(_blobs(subject, ask)["all"] == _boxes(subject, ask)["all"]),
        binary=True,
    )
)
