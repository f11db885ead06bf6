"""The detector's targets are where the things are, and a few steps lower its loss."""

from __future__ import annotations

import random

import numpy as np
import torch

from experiments.emojiworld.train_detector import Targets, export, loss, make_scenes
from experiments.emojiworld.train_vae import crowded_scene
from ttom.emojiworld.detector import STRIDE, Detector, load_detector
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.render import Renderer, pack
from ttom.emojiworld.scene import SLOTS, VERTICES, Scene, Thing


def targets(scene: Scene, time: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    packed, times = pack([scene]), torch.tensor([[time]])
    labels = Renderer()(packed, times)[1]
    return Targets("cpu")(packed, times[:, 0], labels[:, 0])


def peaks(heat: torch.Tensor) -> set[tuple[str, int, int]]:
    """Noun and place, in cells, of every center."""
    return {(NOUNS[n].name, x, y) for n, y, x in (heat[0] >= 1).nonzero().tolist()}


def test_centers_follow_bent_paths_and_only_what_is_in_the_picture_counts() -> None:
    ball = Thing(INDEX["ball"], ((21, 21), (61, 21), (61, 41)), 20)
    gone = Thing(INDEX["cat"], ((80, 50),), 20, visible=(0.0, 0.4))
    outside = Thing(INDEX["dog"], ((-15, 50),), 20)
    scene = Scene("x", [ball, gone, outside])
    first = peaks(targets(scene, 0.0)[0])
    assert {noun for noun, _, _ in first} == {"ball", "cat"}
    assert ("ball", 10, 10) in first  # 21 pixels in cells of 2
    later = peaks(targets(scene, 1.0)[0])
    assert {noun for noun, _, _ in later} == {"ball"}
    assert all(abs((x + 0.5) * STRIDE - 61) <= STRIDE and abs((y + 0.5) * STRIDE - 41) <= STRIDE for _, x, y in later)


def test_what_lies_under_another_thing_has_no_center() -> None:
    cat, dog = (Thing(INDEX[name], ((48, 32),), 24) for name in ("cat", "dog"))
    assert {noun for noun, _, _ in peaks(targets(Scene("x", [cat, dog]), 0.5)[0])} == {"dog"}


def test_crowds_fit_the_renderer_and_have_colors() -> None:
    scenes = [crowded_scene(random.Random(seed)) for seed in range(200)]
    assert all(3 <= len(scene.things) <= SLOTS for scene in scenes)
    assert max(len(thing.path) for scene in scenes for thing in scene.things) == 3 <= VERTICES
    colored = np.mean([thing.color is not None for scene in scenes for thing in scene.things])
    assert 0.2 < colored < 0.5


def test_a_few_steps_lower_the_loss_and_the_export_loads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    packed, times = make_scenes(0, 8), torch.rand(8, 1)
    video, labels = Renderer()(packed, times)
    pixels = labels[:, 0, ::STRIDE, ::STRIDE].long()
    pixels = torch.where(pixels < 0, len(NOUNS), pixels)
    found = Targets("cpu")(packed, times[:, 0], labels[:, 0])
    detector = Detector(width=8)
    optimizer, values = torch.optim.Adam(detector.parameters(), lr=3e-3), []
    for _ in range(12):
        value = loss(detector, video[:, :, 0], *found, pixels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]
    whole = Detector()
    export(whole, tmp_path / "detector.safetensors")
    assert load_detector(weights=tmp_path / "detector.safetensors").noun_count == len(NOUNS)
