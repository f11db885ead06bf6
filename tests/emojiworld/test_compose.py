"""Kinds that are never trained: they have what no trained scene has, and their facts hold."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.emojiworld.truth import thing_boxes, true_detections
from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import Facts, Split, split_of
from ttom.emojiworld.judging import all_hold, judge
from ttom.emojiworld.sampling import sample_composition, sample_scene
from ttom.emojiworld.scene import HEIGHT, SLOTS, VERTICES, WIDTH, Scene

SPLITS: tuple[Split, ...] = ("train", "tune", "test")


def is_new(facts: Facts) -> bool:
    """Whether the facts have a property that training must never show."""
    subjects, nouns = facts.subjects, Counter(subject.noun for subject in facts.subjects)
    movers = [subject for subject in subjects if subject.path]
    axes = {subject.path[0] in ("left", "right") for subject in movers}
    counted = [subject for subject in subjects if subject.counted and not subject.path]
    sides = [relation for relation in facts.relations if relation.side != "between"]
    return (
        len(movers) >= 3
        or len(axes) == 2
        or any(subjects[relation.first].count > 1 or subjects[relation.second].count > 1 for relation in sides)
        or bool(movers and counted)
        or (len(counted) == 2 and sum(subject.count for subject in counted) > 6)
        or len(facts.relations) > 1
        or sum(subject.color is not None for subject in subjects) > 1
        or max(nouns.values()) > 1
        or any(subject.zigzag for subject in subjects)
    )


def compositions(kind: str, count: int = 60) -> list[Scene]:
    return [sample_composition(random.Random(f"{kind} {i}"), SPLITS[i % 3], kind) for i in range(count)]


def test_no_kind_is_trained_and_never_trained() -> None:
    assert not set(SECOND.kinds) & set(NEVER_TRAINED)
    assert len(NEVER_TRAINED) == 8


@pytest.mark.parametrize("kind", NEVER_TRAINED)
def test_every_scene_has_what_training_never_shows(kind: str) -> None:
    assert all(is_new(scene.facts) for scene in compositions(kind))


def test_no_trained_scene_has_it() -> None:
    for i in range(2000):
        assert not is_new(sample_scene(random.Random(i), "train", edition=SECOND).facts)


@pytest.mark.parametrize("kind", NEVER_TRAINED)
def test_a_perfect_video_shows_every_fact(kind: str) -> None:
    for scene in compositions(kind):
        verdicts = judge(scene.facts, true_detections(scene))
        assert all_hold(verdicts), (verdicts, scene)


@pytest.mark.parametrize("kind", NEVER_TRAINED)
def test_things_stay_inside_and_combinations_in_their_split(kind: str) -> None:
    for i, scene in enumerate(compositions(kind)):
        assert {split_of(*combination) for combination in scene.facts.combinations()} == {SPLITS[i % 3]}
        assert len(scene.things) <= SLOTS and all(len(thing.path) <= VERTICES for thing in scene.things)
        for thing in scene.things:
            boxes = thing_boxes(thing)
            assert boxes.min() >= -1e-4
            assert boxes[:, 2].max() <= WIDTH + 1e-4 and boxes[:, 3].max() <= HEIGHT + 1e-4, scene


def test_colors_are_bound_to_the_same_noun_in_half_of_the_pairs() -> None:
    pairs = [scene for scene in compositions("color_binding", 120) if len(scene.facts.subjects) == 2]
    same = [scene for scene in pairs if len(scene.facts.nouns) == 1]
    assert 0.15 < len(same) / len(pairs) < 0.85
    for scene in pairs:
        assert len({thing.color for thing in scene.things}) == 2
