"""The detector reads true renders, and the metrics read its detections."""

from __future__ import annotations

import pytest
import torch

from experiments.emojiworld.gates import scene_scores
from tests.emojiworld.conftest import Rendered, render
from tests.emojiworld.truth import thing_boxes
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import STRIDE, Detection, Detector, detect, segment
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.scene import HEIGHT, WIDTH, Scene, Thing

Found = list[list[list[Detection]]]


def test_every_fact_is_read_off_true_renders(rendered: Rendered, detections: Found) -> None:
    seen: dict[str, int] = {}
    for scene, frames in zip(rendered.scenes, detections, strict=True):
        for key, holds in scene_scores(scene, frames):
            assert holds, (key, scene)
            seen[key] = seen.get(key, 0) + 1
    assert seen.keys() == {"presence", "direction", "relation", "count", "count_to_6", "all_facts"}
    assert seen["direction"] == 16 and seen["count"] == 8 and seen["relation"] == 8


def test_boxes_lie_on_the_things(rendered: Rendered, detections: Found) -> None:
    scale = torch.tensor([WIDTH, HEIGHT] * 2)
    overlaps = []
    for scene, frames in zip(rendered.scenes, detections, strict=True):
        for thing in scene.things:
            boxes = torch.from_numpy(thing_boxes(thing)) / scale
            for frame in (0, -1):
                true = tuple(boxes[frame].tolist())
                candidates = [metrics.iou(true, d.box) for d in frames[frame] if d.noun == thing.noun]
                overlaps.append(max(candidates, default=0.0))
    assert sum(overlaps) / len(overlaps) > 0.85
    assert min(overlaps) > 0.6


@torch.no_grad()
def test_segmentation_agrees_with_the_labels(rendered: Rendered, detector: Detector) -> None:
    frame = 8
    true = torch.from_numpy(rendered.labels[:, frame, ::STRIDE, ::STRIDE]).long()
    true[true < 0] = len(NOUNS)
    found = segment(detector, rendered.video[:, :, frame])
    assert found.shape == true.shape == (len(rendered.scenes), HEIGHT // STRIDE, WIDTH // STRIDE)
    overlaps = []
    for scene, a, b in zip(rendered.scenes, found, true, strict=True):
        for noun in {thing.noun for thing in scene.things}:
            overlaps.append((((a == noun) & (b == noun)).sum() / ((a == noun) | (b == noun)).sum()).item())
    assert sum(overlaps) / len(overlaps) > 0.9
    assert sorted(overlaps)[2] > 0.7  # a bicycle on a background of its own color does worse


@pytest.mark.parametrize("level", [-0.8, 0.0, 0.8])
def test_nothing_is_found_in_an_empty_picture(detector: Detector, level: float) -> None:
    assert detect(detector, torch.full((1, 3, HEIGHT, WIDTH), level)) == [[]]


def test_colors_are_read_off_the_segmented_pixels(detector: Detector) -> None:
    """In their natural colors, which the embedded detector knows."""
    things = [Thing(INDEX[name], ((48.0, 32.0),), 30) for name in ("balloon", "cloud", "car", "swan")]
    for thing, color in zip(things, ("red", None, "red", "white"), strict=True):
        video = render([Scene("motion", [thing], background=((0.4, 0.6, 0.4), (0.5, 0.7, 0.5), 0.0))]).video
        found = detect(detector, video[:, :, 0], colors=True)[0]
        if color is not None:
            assert [(one.noun, one.color) for one in found] == [(thing.noun, color)]
        assert all(one.noun < detector.noun_count == 66 for one in found), "a cloud is of edition 2"
    assert all(one.color is None for one in detect(detector, video[:, :, 0])[0])


def test_threshold(rendered: Rendered, detector: Detector) -> None:
    frames = rendered.video[:2, :, 0]
    assert all(detect(detector, frames))
    assert detect(detector, frames, threshold=1.0) == [[], []]
    assert all(0.35 < d.score <= 1 and max(d.box) <= 1 and min(d.box) >= 0 for f in detect(detector, frames) for d in f)
