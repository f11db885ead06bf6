"""The judge without learning, on true renders."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import torch

from tests.emojiworld.conftest import render
from ttom.emojiworld import blobs
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import Facts, Subject
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import Scene, Thing


def test_it_reads_true_renders_well() -> None:
    held: dict[str, list[bool]] = defaultdict(list)
    for kind in ("motion", "relation", "count", "three"):
        for seed in range(10):
            rng = random.Random(f"blobs {kind} {seed}")
            scene = sample_scene(rng, "train", kind, SECOND)
            paint(rng, scene)
            for name, holds in blobs.judge(scene.facts, render([scene]).video[0]):
                held[name].append(holds)
    assert held.keys() == {"number", "direction", "color"}
    assert len(held["direction"]) == 10 and np.mean(held["direction"]) >= 0.9
    assert len(held["number"]) == 30 and np.mean(held["number"]) >= 0.85
    assert np.mean(held["color"]) >= 0.8


def test_it_sees_what_is_wrong() -> None:
    ball = INDEX["ball"]
    places = [(20.0, 30.0), (48.0, 30.0), (76.0, 30.0)]
    scene = Scene("count", [Thing(ball, (place,), 18, color="green") for place in places])
    video = render([scene]).video[0]
    facts = Facts((Subject(ball, 3, counted=True, color="green"),))
    assert dict(blobs.judge(facts, video)) == {"number": True, "color": True}
    wrong = Facts((Subject(ball, 2, counted=True, color="red"),))
    assert dict(blobs.judge(wrong, video)) == {"number": False, "color": False}
    moved = render([Scene("motion", [Thing(ball, ((20, 30), (76, 30)), 18)])]).video[0]
    assert dict(blobs.judge(Facts((Subject(ball, path=("right",)),)), moved)) == {"direction": True}
    assert dict(blobs.judge(Facts((Subject(ball, path=("left",)),)), moved)) == {"direction": False}


def test_an_empty_picture_has_no_blobs() -> None:
    assert blobs.find_blobs(np.full((64, 96, 3), 0.4)) == []
    nothing = torch.zeros(3, 17, 64, 96)
    assert dict(blobs.judge(Facts((Subject(0, path=("up",)),)), nothing)) == {"direction": False}
