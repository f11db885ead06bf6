"""The judge without learning: rules by hand, and true renders."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
import torch

from tests.emojiworld.conftest import render
from tests.emojiworld.truth import true_detections
from ttom.emojiworld import blobs
from ttom.emojiworld.blobs import Blob, blobs_of, find_blobs, follow, judge, without_nouns
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import Facts, Relation, Subject
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.prompts import ALL_KINDS, scene_prompts
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import Scene, Thing

CAT, DOG = INDEX["cat"], INDEX["dog"]


def at(x: float, y: float, color: str = "gray") -> Blob:
    return Blob((x - 0.1, y - 0.1, x + 0.1, y + 0.1), color)


def moving(dx: float, dy: float = 0.0, x: float = 0.2, y: float = 0.5, color: str = "gray") -> list[Blob]:
    return [at(x + dx * i / 16, y + dy * i / 16, color) for i in range(17)]


def frames(*things: list[Blob]) -> list[list[Blob]]:
    return [list(row) for row in zip(*things, strict=True)]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_perfect_boxes_without_nouns_show_every_scene(kind: str) -> None:
    for prompt in scene_prompts("tune", 20, (kind,)):
        found = judge(prompt.facts, without_nouns(true_detections(prompt.scene)))
        assert all(found.values()), (prompt, found)


def test_number_and_motion() -> None:
    facts = Facts((Subject(CAT, path=("right",)), Subject(DOG, 2, counted=True)))
    rest = [moving(0, x=0.2, y=0.1), moving(0, x=0.8, y=0.1)]
    assert judge(facts, frames(moving(0.6), *rest)) == {"number": True, "motion": True, "all": True}
    assert judge(facts, frames(moving(0.6), *rest[:1])) == {"number": False, "motion": False, "all": False}
    assert judge(facts, frames(moving(-0.15), *rest)) == {"number": True, "motion": False, "all": False}
    assert judge(facts, frames(moving(0.6), moving(0.6, y=0.9), rest[0]))["motion"] is False, "two move in place of one"


def test_bent_paths() -> None:
    back = [at(0.2 + 0.6 * (1 - abs(i - 8) / 8), 0.5) for i in range(17)]
    assert judge(Facts((Subject(CAT, path=("right", "left")),)), frames(back))["all"]
    assert not judge(Facts((Subject(CAT, path=("right", "up")),)), frames(back))["all"]
    waves = [at(0.1 + 0.05 * i, 0.3 + 0.1 * abs(i % 8 - 4)) for i in range(17)]
    zigzag = Facts((Subject(CAT, path=("right",), zigzag=True),))
    assert judge(zigzag, frames(waves))["all"] and not judge(zigzag, frames(moving(0.6)))["all"]


def test_colors_belong_to_what_stands_or_moves_there() -> None:
    facts = Facts((Subject(CAT, color="red"), Subject(CAT, color="blue")), (Relation(0, "left", 1),))
    red_left = frames(moving(0, x=0.2, color="red"), moving(0, x=0.8, color="blue"))
    blue_left = frames(moving(0, x=0.2, color="blue"), moving(0, x=0.8, color="red"))
    assert judge(facts, red_left) == {"number": True, "motion": True, "color": True, "all": True}
    assert judge(facts, blue_left) == {"number": True, "motion": True, "color": True, "all": False}
    both_red = frames(moving(0, x=0.2, color="red"), moving(0, x=0.8, color="red"))
    assert judge(facts, both_red)["color"] is False
    mover = Facts((Subject(CAT, color="red", path=("right",)), Subject(DOG, color="blue")))
    swapped = frames(moving(0.6, color="blue"), moving(0, y=0.1, color="red"))
    assert judge(mover, swapped) == {"number": True, "motion": True, "color": True, "all": False}


def test_relations_of_groups() -> None:
    facts = Facts((Subject(CAT, 2, counted=True), Subject(DOG)), (Relation(0, "left", 1),))
    row = [moving(0, x=0.2, y=0.3), moving(0, x=0.2, y=0.7)]
    assert judge(facts, frames(*row, moving(0, x=0.8)))["all"]
    assert not judge(facts, frames(moving(0, x=0.5, y=0.1), moving(0, x=0.5, y=0.5), moving(0, x=0.5, y=0.9)))["all"]


def test_tracks_bridge_gaps_and_forget_what_is_seldom_seen() -> None:
    mover, rest = moving(0.6), moving(0, y=0.1)
    seen = frames(mover, rest)
    seen[5], seen[6] = [rest[5]], [mover[6], rest[6], at(0.9, 0.9)]
    tracks = follow(seen)
    assert len(tracks) == 2
    assert tracks[0] == [*mover[:5], None, *mover[6:]] and tracks[1] == rest


def test_it_reads_true_renders_well() -> None:
    held: dict[str, list[bool]] = defaultdict(list)
    for kind in ("motion", "relation", "count", "three"):
        for seed in range(8):
            rng = random.Random(f"blobs {kind} {seed}")
            scene = sample_scene(rng, "train", kind, SECOND)
            paint(rng, scene)
            for name, holds in blobs.verdicts(scene.facts, render([scene]).video[0]):
                held[name].append(holds)
    assert {name: len(row) for name, row in held.items() if name != "color"} == {"number": 32, "motion": 32, "all": 32}
    assert np.mean(held["motion"]) >= 0.9 and np.mean(held["number"]) >= 0.85
    assert len(held["color"]) > 5 and np.mean(held["color"]) >= 0.8


def test_blobs_have_the_boxes_and_colors_of_things() -> None:
    ball = INDEX["ball"]
    places = [(20.0, 30.0), (48.0, 30.0), (76.0, 30.0)]
    scene = Scene("count", [Thing(ball, (place,), 18, color="green") for place in places])
    (frame,) = blobs_of(render([scene]).video[0], frames=1)
    assert [blob.color for blob in frame] == ["green"] * 3
    found = np.array([blob.center for blob in frame]) * (96, 64)
    assert np.abs(found - places).max() < 1
    video = render([scene]).video[0]
    right = Facts((Subject(ball, 3, counted=True, color="green"),))
    wrong = Facts((Subject(ball, 2, counted=True, color="red"),))
    assert all(dict(blobs.verdicts(right, video)).values())
    assert dict(blobs.verdicts(wrong, video)) == {"number": False, "motion": True, "color": False, "all": False}


def test_an_empty_picture_has_no_blobs() -> None:
    assert find_blobs(np.full((64, 96, 3), 0.4)) == []
    nothing = torch.zeros(3, 17, 64, 96)
    facts = Facts((Subject(CAT, path=("up",)),))
    assert dict(blobs.verdicts(facts, nothing)) == {"number": False, "motion": False, "all": False}
