"""The renderer: labels, boxes and pictures agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from tests.emojiworld.conftest import Rendered, render
from tests.emojiworld.truth import thing_boxes
from ttom.emojiworld.colors import name_color
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH, Scene, Thing

TRANSLUCENT = {INDEX["cup"], INDEX["spaceship"]}  # steam and a beam of light count as ink of the box, not as a label


def shown_box(labels: np.ndarray, noun: int) -> np.ndarray:
    """Tight box x0 y0 x1 y1 of the noun's pixels in a frame's labels ``(H, W)``."""
    y, x = np.nonzero(labels == noun)
    assert len(x), NOUNS[noun].name
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def shown_center(labels: np.ndarray, noun: int) -> np.ndarray:
    box = shown_box(labels, noun)
    return (box[:2] + box[2:]) / 2


def test_shapes_and_ranges(rendered: Rendered) -> None:
    count = len(rendered.scenes)
    assert rendered.video.shape == (count, 3, FRAMES, HEIGHT, WIDTH)
    assert rendered.labels.shape == (count, FRAMES, HEIGHT, WIDTH)
    assert -1 <= rendered.video.min() < -0.5 < 0.5 < rendered.video.max() <= 1 + 1e-5


def test_boxes_agree_with_the_labels() -> None:
    """Every noun alone, moving."""
    things = [Thing(noun, ((20, 18), (70, 44)), 26) for noun in range(len(NOUNS))]
    labels = render([Scene("motion", [thing]) for thing in things]).labels
    for thing, shown in zip(things, labels, strict=True):
        boxes = thing_boxes(thing)
        assert boxes.shape == (FRAMES, 4)
        for frame in (0, 7, FRAMES - 1):
            got, planned = shown_box(shown[frame], thing.noun), boxes[frame]
            assert (got[:2] >= planned[:2] - 1.6).all() and (got[2:] <= planned[2:] + 1.6).all(), NOUNS[thing.noun]
            share = np.prod(got[2:] - got[:2]) / np.prod(planned[2:] - planned[:2])
            assert share > (0.6 if thing.noun in TRANSLUCENT else 0.82), (NOUNS[thing.noun].name, share)


def test_labels_name_the_thing_on_top() -> None:
    cat, dog = INDEX["cat"], INDEX["dog"]
    middle = (48.0, 32.0)
    scenes = [Scene("count", [Thing(a, (middle,), 30), Thing(b, (middle,), 30)]) for a, b in ((cat, dog), (dog, cat))]
    for labels, top, under in zip(render(scenes).labels, (dog, cat), (cat, dog), strict=True):
        assert (labels[0] == top).sum() > 2 * (labels[0] == under).sum()


def test_movers_move_as_told(rendered: Rendered) -> None:
    signs = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
    seen = 0
    for scene, labels in zip(rendered.scenes, rendered.labels, strict=True):
        for noun, direction in scene.facts.directions:
            seen += 1
            axis, sign = signs[direction]
            centers = np.stack([shown_center(frame, noun) for frame in labels])
            move = centers[-1] - centers[0]
            # Vertical moves are short: the picture is 64 pixels high, and things are up to 30.
            assert sign * move[axis] > (20 if axis == 0 else 12), (scene.facts, move)
            assert abs(move[1 - axis]) < 3
            steps = sign * np.diff(centers[:, axis])
            assert steps.min() > -0.6  # steady, but for whole pixels
    assert seen == 16


def test_relations_hold_in_the_labels(rendered: Rendered) -> None:
    for scene, labels in zip(rendered.scenes, rendered.labels, strict=True):
        if scene.facts.relation is None:
            continue
        first, second, side = scene.facts.relation
        for frame in labels:
            a, b = shown_box(frame, first), shown_box(frame, second)
            gap = {"left": b[0] - a[2], "right": a[0] - b[2], "above": b[1] - a[3], "below": a[1] - b[3]}
            assert gap[side] >= -1, (scene.facts, a, b)


def test_counts_are_the_things_shown(rendered: Rendered) -> None:
    """As many things as told, none hidden: each one's pixels are all in the picture."""
    checked = 0
    for scene, labels in zip(rendered.scenes, rendered.labels, strict=True):
        if not scene.facts.counts:
            continue
        assert Counter(thing.noun for thing in scene.things) == dict(scene.facts.counts)
        alone = render([Scene(scene.kind, [thing], background=scene.background) for thing in scene.things]).labels
        for noun, _ in scene.facts.counts:
            apart = sum((alone[i, 0] == noun).sum() for i, thing in enumerate(scene.things) if thing.noun == noun)
            assert (labels[0] == noun).sum() == apart > 0
        checked += 1
    assert checked == 8


def test_pack_marks_empty_slots_and_repeats_the_last_vertex() -> None:
    thing = Thing(3, ((1, 2), (5, 2), (5, 6)), 20, color="red", moving=(0.2, 1.0), visible=(0.1, 0.9))
    packed = pack([Scene("motion", [thing], background=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 1.5))])
    path = [[1, 2, 0.2], [5, 2, 0.6], *[[5, 6, 1.0]] * 4]
    torch.testing.assert_close(packed["path"][0, 0], torch.tensor(path))
    assert (packed["size"][0, 0], packed["noun"][0, 0], packed["color"][0, 0]) == (20, 3, 1)
    assert packed["visible"][0, 0].tolist() == [np.float32(0.1), np.float32(0.9)]
    assert (packed["noun"][0, 1:] == -1).all()
    torch.testing.assert_close(packed["back"][0], torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.5]))


def test_times_may_differ_between_scenes() -> None:
    scene = Scene("motion", [Thing(0, ((20, 32), (70, 32)), 24)])
    packed = pack([scene, scene])
    together = Renderer()(packed, frame_times())[0]
    ends = Renderer()(packed, torch.tensor([[0.0], [1.0]]))[0]
    torch.testing.assert_close(ends[0, :, 0], together[0, :, 0])
    torch.testing.assert_close(ends[1, :, 0], together[0, :, -1])


def test_a_bent_path_is_drawn_where_its_boxes_are() -> None:
    thing = Thing(INDEX["ball"], ((20, 16), (70, 16), (70, 48), (40, 48)), 20, moving=(0.1, 0.9))
    labels = render([Scene("motion", [thing])]).labels[0]
    for frame, box in enumerate(thing_boxes(thing)):
        assert np.abs(shown_box(labels[frame], thing.noun) - box).max() < 1.6, frame


def test_a_thing_is_drawn_only_while_it_is_visible() -> None:
    thing = Thing(INDEX["cat"], ((48, 32),), 24, visible=(0.3, 0.7))
    labels = render([Scene("motion", [thing])]).labels[0]
    drawn = [bool((frame >= 0).any()) for frame in labels]
    assert drawn == [0.3 <= time <= 0.7 for time in np.linspace(0, 1, FRAMES).tolist()]


def test_colors_are_drawn_and_shapes_stay() -> None:
    things = [Thing(INDEX["car"], ((48, 32),), 30, color=color) for color in (None, "green", "purple")]
    rendered = render([Scene("motion", [thing]) for thing in things])
    assert (rendered.labels == rendered.labels[:1]).all()
    for thing, video, labels in zip(things[1:], rendered.video[1:], rendered.labels[1:], strict=True):
        pixels = (video[:, 0].permute(1, 2, 0).numpy() + 1) / 2
        assert name_color(pixels[labels[0] >= 0]) == thing.color
