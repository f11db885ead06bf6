"""The detector reads true renders, and the metrics read its detections."""

from __future__ import annotations

import pytest
import torch

from experiments.emojiworld.gates import scene_scores
from tests.emojiworld.conftest import Rendered
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import STRIDE, Detection, Detector, detect, segment
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.world import HEIGHT, WIDTH, thing_boxes

Found = list[list[list[Detection]]]


def test_every_fact_is_read_off_true_renders(rendered: Rendered, detections: Found) -> None:
    seen: dict[str, int] = {}
    for scene, frames in zip(rendered.scenes, detections, strict=True):
        for key, values in scene_scores(scene, frames).items():
            assert all(values), (key, scene)
            seen[key] = seen.get(key, 0) + len(values)
    assert seen.keys() == {"presence", "direction", "relation", "counts"}
    assert seen["direction"] == 16 and seen["counts"] == 8 and seen["relation"] == 4


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
    assert sorted(overlaps)[2] > 0.7  # a bicycle on a background of its own colour does worse


@pytest.mark.parametrize("level", [-0.8, 0.0, 0.8])
def test_nothing_is_found_in_an_empty_picture(detector: Detector, level: float) -> None:
    assert detect(detector, torch.full((1, 3, HEIGHT, WIDTH), level)) == [[]]


def test_threshold(rendered: Rendered, detector: Detector) -> None:
    frames = rendered.video[:2, :, 0]
    assert all(detect(detector, frames))
    assert detect(detector, frames, threshold=1.0) == [[], []]
    assert all(0.35 < d.score <= 1 and max(d.box) <= 1 and min(d.box) >= 0 for f in detect(detector, frames) for d in f)
