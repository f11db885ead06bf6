"""Scenes and true renders that the tests of EmojiWorld share."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import pytest
from torch import Tensor

from ttom.emojiworld.detector import Detection, Detector, detect, load_detector
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import Scene

PER_KIND = 4


class Rendered(NamedTuple):
    """Scenes with their video ``(B, 3, T, H, W)`` and labels ``(B, T, H, W)``."""

    scenes: list[Scene]
    video: Tensor
    labels: np.ndarray


def render(scenes: list[Scene]) -> Rendered:
    video, labels = Renderer()(pack(scenes), frame_times())
    return Rendered(scenes, video, labels.numpy())


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """Four scenes of each kind of edition 1, which the embedded detector knows."""
    scenes = []
    for seed in range(PER_KIND):
        for kind in FIRST.kinds:
            rng = random.Random(f"{kind} {seed}")
            scenes.append(sample_scene(rng, "train", kind, FIRST))
            paint(rng, scenes[-1])
    return render(scenes)


@pytest.fixture(scope="session")
def detector() -> Detector:
    return load_detector()


@pytest.fixture(scope="session")
def detections(rendered: Rendered, detector: Detector) -> list[list[list[Detection]]]:
    """What the detector finds in every fourth frame of each video of `rendered`, first and last among them."""
    video = rendered.video[:, :, ::4]
    flat = detect(detector, video.transpose(1, 2).flatten(0, 1))
    return [flat[i : i + video.shape[2]] for i in range(0, len(flat), video.shape[2])]
