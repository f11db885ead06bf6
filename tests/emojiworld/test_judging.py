"""Verdicts: true scenes pass, and each fact fails alone where the video breaks it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

import pytest

from tests.emojiworld.truth import true_detections
from ttom.emojiworld.detector import Detection
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import OPPOSITE_DIRECTION, OPPOSITE_SIDE, Facts, Relation, Subject
from ttom.emojiworld.judging import FactName, all_hold, has_extras, judge
from ttom.emojiworld.sampling import sample_scene

CAT, DOG = 0, 1


def at(noun: int, x: float, y: float, side: float = 0.2, color: str | None = None) -> Detection:
    return Detection(noun, 0.9, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), color)


def failed(facts: Facts, frames: list[list[Detection]]) -> set[str]:
    return {verdict.name for verdict in judge(facts, frames) if not verdict.holds}


@pytest.mark.parametrize("kind", SECOND.kinds)
def test_a_perfect_video_of_a_trained_kind_shows_every_fact(kind: str) -> None:
    for seed in range(80):
        scene = sample_scene(random.Random(f"{kind} {seed}"), "train", kind, SECOND)
        verdicts = judge(scene.facts, true_detections(scene))
        names = {verdict.name for verdict in verdicts}
        assert all_hold(verdicts) and names <= set(get_args(FactName)), (verdicts, scene)


@pytest.mark.parametrize("kind", ["motion", "group", "turn", "passage", "two_movers"])
def test_a_video_played_backward_breaks_the_motion_alone(kind: str) -> None:
    for seed in range(30):
        scene = sample_scene(random.Random(f"{kind} {seed}"), "train", kind, SECOND)
        path = scene.facts.subjects[0].path
        if len(path) == 2 and path[1] == OPPOSITE_DIRECTION[path[0]]:
            continue  # there and back is the same backward
        assert failed(scene.facts, true_detections(scene)[::-1]) & {"direction", "turn", "passage"}


@pytest.mark.parametrize("kind", ["relation", "motion_beside", "between"])
def test_swapped_nouns_break_the_relation(kind: str) -> None:
    for seed in range(30):
        scene = sample_scene(random.Random(f"{kind} {seed}"), "train", kind, SECOND)
        first, second = scene.facts.nouns
        swap = {first: second, second: first}
        frames = [[replace(d, noun=swap[d.noun]) for d in frame] for frame in true_detections(scene)]
        loose = scene.facts.relations[0].loose
        assert ("relation" in failed(scene.facts, frames)) != loose, scene


def test_a_missing_thing_breaks_presence_count_and_relation() -> None:
    facts = Facts((Subject(CAT), Subject(DOG, 2, counted=True)), (Relation(0, "left", 1),))
    whole = [[at(CAT, 0.2, 0.5), at(DOG, 0.6, 0.5), at(DOG, 0.9, 0.5)]] * 8
    assert failed(facts, whole) == set()
    assert failed(facts, [row[:2] for row in whole]) == {"count"}
    assert failed(facts, [row[1:] for row in whole]) == {"presence", "relation"}
    assert failed(facts, [[]] * 8) == {"presence", "count", "relation"}


def test_of_a_group_each_one_must_be_on_the_side() -> None:
    facts = Facts((Subject(CAT, 2, counted=True), Subject(DOG)), (Relation(0, "left", 1),))
    dog = at(DOG, 0.5, 0.5)
    assert failed(facts, [[at(CAT, 0.1, 0.4), at(CAT, 0.1, 0.6), dog]] * 4) == set()
    assert failed(facts, [[at(CAT, 0.1, 0.4), at(CAT, 0.9, 0.6), dog]] * 4) == {"relation"}


def test_two_of_a_noun_are_told_apart_by_color() -> None:
    facts = Facts((Subject(CAT, color="red"), Subject(CAT, color="blue")), (Relation(0, "left", 1),))
    right = [[at(CAT, 0.2, 0.5, color="red"), at(CAT, 0.8, 0.5, color="blue")]] * 4
    swapped = [[at(CAT, 0.2, 0.5, color="blue"), at(CAT, 0.8, 0.5, color="red")]] * 4
    assert failed(facts, right) == set()
    assert failed(facts, swapped) == {"relation"}
    assert failed(facts, [[at(CAT, 0.2, 0.5, color="red"), at(CAT, 0.8, 0.5, color="red")]] * 4) == {
        "color",
        "relation",
    }


def test_next_to_is_either_side_but_not_above() -> None:
    facts = Facts((Subject(CAT), Subject(DOG)), (Relation(0, "left", 1, loose=True),))
    for x in (0.2, 0.8):
        assert failed(facts, [[at(CAT, x, 0.5), at(DOG, 0.5, 0.5)]] * 4) == set()
    assert failed(facts, [[at(CAT, 0.5, 0.1), at(DOG, 0.5, 0.7)]] * 4) == {"relation"}


def test_sizes() -> None:
    for size, side in (("big", 0.35), ("small", 0.14)):
        facts = Facts((Subject(CAT, size=size),))  # type: ignore[arg-type]
        other = 0.14 if size == "big" else 0.35
        assert failed(facts, [[at(CAT, 0.5, 0.5, side)]] * 4) == set()
        assert failed(facts, [[at(CAT, 0.5, 0.5, other)]] * 4) == {"size"}


def test_a_straight_path_is_no_zigzag_and_no_turn() -> None:
    straight = [[at(CAT, 0.1 + 0.05 * i, 0.5)] for i in range(17)]
    waves = [[at(CAT, 0.1 + 0.05 * i, 0.3 if i // 4 % 2 else 0.7)] for i in range(17)]
    zigzag = Facts((Subject(CAT, path=("right",), zigzag=True),))
    assert failed(zigzag, straight) == {"zigzag"} and failed(zigzag, waves) == set()
    assert failed(Facts((Subject(CAT, path=("right", "left")),)), straight) == {"turn"}


def test_sides_have_opposites() -> None:
    assert all(OPPOSITE_SIDE[OPPOSITE_SIDE[side]] == side for side in OPPOSITE_SIDE)


def test_none_of_a_group_is_left_behind() -> None:
    facts = Facts((Subject(CAT, 3, counted=True, path=("right",)),))
    frames = [[at(CAT, 0.1 + 0.04 * i, y) for y in (0.2, 0.5, 0.8)] for i in range(17)]
    assert failed(facts, frames) == set()
    left = [[row[0], row[1], at(CAT, 0.1, 0.8)] for row in frames]
    assert failed(facts, left) == {"direction"}
    assert failed(facts, [[at(CAT, 0.1, y) for y in (0.2, 0.5, 0.8)]] * 17) == {"direction"}


def test_extras_are_more_of_a_named_noun_in_the_median_frame() -> None:
    facts = Facts((Subject(CAT, color="red"), Subject(CAT, color="blue")))
    two = [at(CAT, 0.2, 0.5), at(CAT, 0.8, 0.5)]
    assert not has_extras(facts, [two] * 4)
    assert not has_extras(facts, [[*two, at(DOG, 0.5, 0.5), at(DOG, 0.5, 0.1)]] * 4)
    assert has_extras(facts, [[*two, at(CAT, 0.5, 0.5)]] * 3 + [two])
