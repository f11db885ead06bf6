"""From a case's metadata through judges' answers to the score of each category."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eval.metrics.arrays import encode
from eval.metrics.registry import Excluded, Metric, Subject, metrics_for, questions_about
from eval.types import Case, ManifestRow, Question

FACTS: dict[str, dict[str, Any]] = {
    "consistent_attr": {"phrases": "a blue car; a white fence"},
    "dynamic_attr": {"state 0": "a bud", "state 1": "a flower"},
    "spatial_relationships": {"spatial": "left", "object_1": "cat", "object_2": "dog"},
    "motion_binding": {"object_1": "cat", "d_1": "left", "object_2": "", "d_2": ""},
    "action_binding": {"phrase_0": ["a dog?", "a dog runs?"], "phrase_1": ["a cat?", "a cat climbs?"]},
    "interaction": {},
    "generative_numeracy": {"objects": "fish, frog", "numbers": "2, 1"},
}


def subject(category: str, frames: int = 17, fps: int = 8, parity: bool = True, **facts: Any) -> Subject:
    case = Case(
        id="1", suite="compbench", category=category, prompt="p", seed=0, video="x/0001.mp4",
        facts=FACTS[category] | facts,
    )  # fmt: skip
    return Subject(ManifestRow(identity="i", case=case, status="made", frames=frames, fps=fps), parity=parity)


def only(one: Subject) -> Metric:
    (metric,) = metrics_for(one)
    return metric


def test_every_category_has_one_metric() -> None:
    names = {only(subject(category)).name for category in FACTS}
    assert names == {"consistent", "dynamic", "spatial", "motion", "action", "interaction", "numeracy"}


def test_judged_categories_are_asked_with_three_seeds_and_dynamic_once() -> None:
    asked = questions_about(subject("action_binding"))
    assert [q.options["seed"] for q in asked] == [0, 1, 2] and {q.options["temperature"] for q in asked} == {0.1}
    assert asked[0].options["facts"] == FACTS["action_binding"]
    (once,) = questions_about(subject("dynamic_attr"))
    assert once.options["temperature"] == 0
    assert questions_about(subject("interaction"))[0].options["facts"] == {"prompt": "p"}


def test_judged_categories_average_seeds() -> None:
    replies = iter(["AA", "BB", "EA"])  # 15, 13, 8
    one = subject("consistent_attr")
    assert only(one).score(one, lambda question: {"choices": list(next(replies))}) == pytest.approx(11 / 14)
    dynamic = subject("dynamic_attr")
    choices = {"states": list("ACDB"), "middle": list("3333")}
    assert only(dynamic).score(dynamic, lambda question: {"choices": choices}) == pytest.approx(0.64)


@pytest.mark.parametrize("value", [None, {}, {"choices": 3}, {"choices": None}, [], {"choices": ["A", None]}])
@pytest.mark.parametrize("category", ["consistent_attr", "dynamic_attr"])
def test_nonsense_is_excluded(category: str, value: Any) -> None:
    one = subject(category)
    with pytest.raises(Excluded):
        only(one).score(one, lambda question: value)


def item(phrase: str, x: float, score: float = 0.9) -> dict[str, Any]:
    return {"box": [x, 0.4, x + 0.1, 0.5], "score": score, "phrase": phrase}


def test_numeracy_reads_objects_and_numbers() -> None:
    one = subject("generative_numeracy")
    found = {"fish": [[item("fish", 0.1), item("fish", 0.5)]] * 16, "frog": [[]] * 16}
    asked = questions_about(one)
    assert [(q.kind, q.text, q.options["box_threshold"], q.options["frames"]) for q in asked] == [
        ("detect", "fish", 0.4, 16), ("detect", "frog", 0.4, 16),
    ]  # fmt: skip
    assert only(one).score(one, lambda question: found[question.text]) == 0.5
    with pytest.raises(Excluded, match="metadata"):
        only(one).score(subject("generative_numeracy", numbers="2, x"), lambda question: [])


def test_spatial_asks_for_masks_and_depth_only_in_3d() -> None:
    flat, deep = subject("spatial_relationships"), subject("spatial_relationships", spatial="behind")
    assert [q.kind for q in questions_about(flat)] == ["detect", "detect"]
    assert [q.kind for q in questions_about(deep)] == ["segment", "segment", "depth"]
    found = {"cat": [[item("cat", 0.1)]] * 16, "dog": [[item("dog", 0.6)]] * 16}
    assert only(flat).score(flat, lambda question: found[question.text]) == pytest.approx(1.0)


def test_short_videos_ask_nothing_and_are_excluded() -> None:
    for category in ("generative_numeracy", "spatial_relationships"):
        one = subject(category, frames=9)
        assert not questions_about(one)
        with pytest.raises(Excluded, match="fewer than 16"):
            only(one).score(one, lambda question: [])
    with pytest.raises(Excluded, match="second"):
        only(subject("motion_binding", frames=7)).score(subject("motion_binding", frames=7), lambda question: [])


def motion_answers(cat: np.ndarray | None, dog: np.ndarray | None, moved: dict[str, float]) -> Any:
    """A judge of a 4 x 4 picture with a point in each cell; points of an object move to the right by `moved`."""
    points = np.stack(np.meshgrid((np.arange(4) + 0.5) / 4, (np.arange(4) + 0.5) / 4), -1).reshape(-1, 2)
    tracks = np.repeat(points[None], 16, axis=0).astype(np.float32)
    masks = {"cat": cat, "dog": dog}
    for name, mask in masks.items():
        if mask is not None:
            tracks[-1, mask.reshape(-1), 0] += moved[name]
    everything = [(name, mask) for name, mask in masks.items() if mask is not None]

    def ask(question: Question) -> Any:
        if question.kind == "track":
            assert question.options["frames"] == 16
            return {"tracks": encode(tracks), "visible": encode(np.ones(tracks.shape[:2], bool))}
        names = [pair for pair in everything if pair[0] in question.text]
        return [[item(name, 0.1) | {"mask": encode(mask)} for name, mask in names]]

    return ask


LEFT, RIGHT = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
LEFT[:, 0] = RIGHT[:, 3] = True


def test_motion_of_one_object() -> None:
    one = subject("motion_binding")
    asked = questions_about(one)
    assert [(q.kind, q.text) for q in asked] == [("segment", "cat"), ("track", "cat")]
    assert only(one).score(one, motion_answers(LEFT, None, {"cat": -0.25})) == pytest.approx(0.2 + 0.8 * 0.25)
    assert only(one).score(one, motion_answers(LEFT, None, {"cat": 0.25})) == pytest.approx(0.2)
    assert only(one).score(one, motion_answers(None, None, {})) == 0.0


def test_motion_of_two_objects_with_and_without_the_quirk() -> None:
    """The zebra goes left and the ant right, as asked; by the masks' names the ant comes first."""
    facts = {"object_1": "dog", "d_1": "left", "object_2": "cat", "d_2": "right"}
    answers = motion_answers(LEFT, RIGHT, {"cat": 0.25, "dog": -0.25})
    fixed = subject("motion_binding", parity=False, **facts)
    assert [q.text for q in questions_about(fixed)] == ["dog", "cat", "dog . cat", "dog . cat"]
    assert only(fixed).score(fixed, answers) == pytest.approx(0.2 + 0.8 * 0.25)
    parity = subject("motion_binding", **facts)
    assert only(parity).score(parity, answers) == pytest.approx(0.2)
    # Swapped alike, both go right with the quirk where nothing is as asked.
    wrong = motion_answers(LEFT, RIGHT, {"cat": -0.25, "dog": 0.25})
    assert only(parity).score(parity, wrong) == pytest.approx(0.2 + 0.8 * 0.25)


@pytest.mark.parametrize("tracks", [None, {}, {"tracks": encode(np.zeros((2, 3, 2), np.float32)), "visible": 1}])
def test_unreadable_tracks_exclude(tracks: Any) -> None:
    one = subject("motion_binding")
    with pytest.raises(Excluded):
        only(one).score(one, lambda question: tracks if question.kind == "track" else [[]])
