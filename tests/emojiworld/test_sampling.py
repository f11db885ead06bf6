"""Sampled scenes show what their facts say, and held-out combinations stay held out."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations as pairs

import numpy as np
import pytest

from tests.emojiworld.truth import thing_boxes
from ttom.emojiworld import colors
from ttom.emojiworld.editions import FIRST, SECOND, Edition
from ttom.emojiworld.facts import Split, split_of
from ttom.emojiworld.sampling import LEAST_CONTRAST, paint, sample_scene
from ttom.emojiworld.scene import HEIGHT, SLOTS, VERTICES, WIDTH, Scene

SPLITS: tuple[Split, ...] = ("train", "tune", "test")
EDITIONS = pytest.mark.parametrize("edition", [FIRST, SECOND], ids=["first", "second"])


def many_scenes(count: int, edition: Edition) -> list[tuple[Split, Scene]]:
    made = []
    for seed in range(count):
        split = SPLITS[seed % 3]
        made.append((split, sample_scene(random.Random(seed), split, edition=edition)))
    return made


@EDITIONS
def test_relation_is_on_the_dominant_axis(edition: Edition) -> None:
    for seed in range(200):
        scene = sample_scene(random.Random(seed), "train", "relation", edition)
        (ax, ay), (bx, by) = (thing.path[0] for thing in scene.things)
        dx, dy = ax - bx, ay - by
        side = ("left" if dx < 0 else "right") if abs(dx) > abs(dy) else ("above" if dy < 0 else "below")
        assert side == scene.facts.relations[0].side


@EDITIONS
def test_count_scenes_do_not_overlap_and_stay_still(edition: Edition) -> None:
    counts: Counter[int] = Counter()
    for seed in range(300):
        scene = sample_scene(random.Random(seed), SPLITS[seed % 3], ("count", "two_counts")[seed % 2], edition)
        boxes = [thing_boxes(thing) for thing in scene.things]
        for a, b in pairs(boxes, 2):
            overlap = np.minimum(a[0, 2:], b[0, 2:]) - np.maximum(a[0, :2], b[0, :2])
            assert overlap.min() <= 1e-6
        assert all(len(thing.path) == 1 for thing in scene.things)
        counts.update(number for _, number in scene.facts.counts)
    assert set(counts) == set(range(1, (7 if edition is FIRST else 9)))


@EDITIONS
def test_things_stay_inside_the_picture_but_for_those_that_come_and_go(edition: Edition) -> None:
    for _, scene in many_scenes(600, edition):
        if scene.kind == "passage":
            continue
        for thing in scene.things:
            boxes = thing_boxes(thing)
            assert boxes.min() >= -1e-5
            assert (boxes[:, 2] <= WIDTH + 1e-4).all() and (boxes[:, 3] <= HEIGHT + 1e-4).all(), scene


@EDITIONS
def test_sampled_scenes_show_only_combinations_of_their_split(edition: Edition) -> None:
    kinds: Counter[str] = Counter()
    for split, scene in many_scenes(1500, edition):
        shown = scene.facts.combinations()
        assert shown and {split_of(*combination) for combination in shown} == {split}
        kinds[scene.kind] += 1
    assert set(kinds) == set(edition.kinds)


def test_sampling_is_deterministic() -> None:
    a, b = (sample_scene(random.Random(7), "test") for _ in range(2))
    assert a == b
    assert a != sample_scene(random.Random(8), "test")


def test_scenes_of_edition_2_have_at_most_one_color_and_fit_the_renderer() -> None:
    colored = sized = 0
    for seed in range(900):
        scene = sample_scene(random.Random(seed), "train", edition=SECOND)
        subjects = scene.facts.subjects
        assert len([subject for subject in subjects if subject.color]) <= 1
        assert len({subject.noun for subject in subjects}) == len(subjects), "a noun twice is for compose alone"
        colored += any(subject.color for subject in subjects)
        sized += any(subject.size for subject in subjects)
        assert len(scene.things) <= SLOTS and all(len(thing.path) <= VERTICES for thing in scene.things)
        for thing in scene.things:
            assert thing.color == subjects[thing.subject].color and thing.noun == subjects[thing.subject].noun
        assert Counter(thing.subject for thing in scene.things) == {i: s.count for i, s in enumerate(subjects)}
    assert 0.25 < colored / 900 < 0.45 and 0.05 < sized / 900 < 0.2


def test_tinted_things_stand_out_from_their_background() -> None:
    for _, scene in many_scenes(600, SECOND):
        paint(random.Random(1), scene)
        for tint in {thing.color for thing in scene.things if thing.color}:
            assert min(colors.contrast(tint, end) for end in scene.background[:2]) >= LEAST_CONTRAST
