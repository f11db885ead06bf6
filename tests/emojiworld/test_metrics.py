"""The metrics on detections made by hand: each says yes and no where it should."""

from __future__ import annotations

import numpy as np
import pytest

from ttom.emojiworld import metrics
from ttom.emojiworld.detector import Detection
from ttom.layout.model import Layout

CAT, DOG = 0, 1


def at(noun: int, x: float, y: float, score: float = 0.9, side: float = 0.2) -> Detection:
    return Detection(noun, score, (x - side / 2, y - side / 2, x + side / 2, y + side / 2))


def moving(noun: int, start: tuple[float, float], end: tuple[float, float], frames: int = 5) -> list[list[Detection]]:
    return [
        [at(noun, *(s + (e - s) * i / (frames - 1) for s, e in zip(start, end, strict=True)))] for i in range(frames)
    ]


def test_of_noun() -> None:
    frames = [[at(CAT, 0.2, 0.2), at(DOG, 0.5, 0.5)], [at(DOG, 0.5, 0.5)]]
    assert metrics.of_noun(frames, CAT) == [[at(CAT, 0.2, 0.2)], []]


@pytest.mark.parametrize(("seen", "present"), [(0, False), (1, False), (2, True), (4, True)])
def test_presence_needs_half_of_the_frames(seen: int, present: bool) -> None:
    frames = [[at(CAT, 0.5, 0.5)]] * seen + [[at(DOG, 0.5, 0.5)]] * (4 - seen)
    assert metrics.presence(frames, CAT) is present


def test_counts() -> None:
    two, three = ([at(CAT, 0.2 * (i + 1), 0.5) for i in range(n)] for n in (2, 3))
    frames = [two, two, two, three]
    assert metrics.count_exact(frames, [(CAT, 2)])
    assert not metrics.count_exact(frames, [(CAT, 3)])
    assert not metrics.count_exact(frames, [(CAT, 2), (DOG, 1)])
    assert metrics.count_exact(frames, [(CAT, 2), (DOG, 0)])


@pytest.mark.parametrize(
    ("end", "name"),
    [((0.2, 0.5), "left"), ((0.8, 0.5), "right"), ((0.5, 0.2), "up"), ((0.5, 0.8), "down"), ((0.8, 0.6), "right")],
)
def test_direction(end: tuple[float, float], name: str) -> None:
    assert metrics.direction(moving(CAT, (0.5, 0.5), end), CAT) == name


def test_direction_of_what_is_still_or_absent() -> None:
    assert metrics.direction(moving(CAT, (0.5, 0.5), (0.55, 0.5)), CAT) is None
    frames = moving(CAT, (0.2, 0.5), (0.8, 0.5))
    assert metrics.direction(frames, DOG) is None
    assert metrics.direction([*frames[:2], [], [], []], CAT) is None


def test_displacement_is_the_net_move_of_the_likeliest() -> None:
    frames = moving(CAT, (0.2, 0.5), (0.6, 0.4))
    for frame in frames:
        frame.append(at(CAT, 0.9, 0.9, score=0.4))  # a second, less likely cat changes nothing
    # The means of the first and last two of five centers.
    assert metrics.displacement(frames, CAT) == pytest.approx((0.3, -0.075))


@pytest.mark.parametrize(
    ("x", "y", "relation"),
    [(0.2, 0.5, "left"), (0.8, 0.45, "right"), (0.5, 0.2, "above"), (0.55, 0.8, "below")],
)
def test_relation(x: float, y: float, relation: str) -> None:
    frames = [[at(CAT, x, y), at(DOG, 0.5, 0.5)]] * 2
    for name in ("left", "right", "above", "below"):
        assert metrics.relation_share(frames, CAT, DOG, name) == float(name == relation)


def test_relation_share_counts_frames_without_both_as_wrong() -> None:
    both = [at(CAT, 0.2, 0.5), at(DOG, 0.7, 0.5)]
    frames = [both, both[:1], both[1:], []]
    assert metrics.relation_share(frames, CAT, DOG, "left") == 0.25
    assert metrics.relation_share(frames, DOG, CAT, "left") == 0.0


def test_iou() -> None:
    a = (0.0, 0.0, 0.5, 0.5)
    assert metrics.iou(a, a) == 1.0
    assert metrics.iou(a, (0.25, 0.0, 0.75, 0.5)) == pytest.approx(1 / 3)
    assert metrics.iou(a, (0.5, 0.0, 1.0, 0.5)) == 0.0
    assert metrics.iou(a, (0.6, 0.6, 1.0, 1.0)) == 0.0


def one_box_layout(noun: str = "cat", count: int = 1) -> Layout:
    boxes = [{"x0": 0.1 + 0.4 * i, "y0": 0.2, "x1": 0.4 + 0.4 * i, "y1": 0.6} for i in range(count)]
    objects = [
        {"id": f"{noun}-{i}", "phrase": noun, "noun": noun, "key_frames": [{"time": 0, "box": box}]}
        for i, box in enumerate(boxes)
    ]
    return Layout.model_validate({"version": 1, "prompt": noun, "objects": objects, "source": "file"})


def seen(noun: int, *boxes: tuple[float, float, float, float], frames: int = 3) -> list[list[Detection]]:
    return [[Detection(noun, 0.9, box) for box in boxes] for _ in range(frames)]


def test_layout_miou_is_one_on_the_boxes_and_zero_without_them() -> None:
    layout = one_box_layout()
    assert metrics.layout_miou(seen(CAT, (0.1, 0.2, 0.4, 0.6)), layout) == pytest.approx(1)
    assert metrics.layout_miou(seen(DOG, (0.1, 0.2, 0.4, 0.6)), layout) == 0
    half = seen(CAT, (0.1, 0.2, 0.4, 0.4))
    assert metrics.layout_miou(half, layout) == pytest.approx(0.5)
    assert metrics.layout_miou([*half[:1], [], []], layout) == pytest.approx(0.5 / 3)


def test_layout_miou_of_a_single_frame() -> None:
    assert metrics.layout_miou(seen(CAT, (0.1, 0.2, 0.4, 0.6), frames=1), one_box_layout()) == pytest.approx(1)


def test_ious_of_boxes_without_a_partner_are_zero() -> None:
    a, b = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
    assert sorted(metrics.matched_ious([a, b], [b])) == [0.0, 1.0]
    assert metrics.matched_ious([a], [b, a]) == [1.0]
    assert metrics.matched_ious([], [a]) == [] and metrics.matched_ious([a], []) == [0.0]


def test_layout_miou_matches_one_to_one() -> None:
    layout = one_box_layout(count=2)
    both = seen(CAT, (0.5, 0.2, 0.8, 0.6), (0.1, 0.2, 0.4, 0.6))
    assert metrics.layout_miou(both, layout) == pytest.approx(1)
    twice_the_same = seen(CAT, (0.1, 0.2, 0.4, 0.6), (0.1, 0.2, 0.4, 0.6))
    assert metrics.layout_miou(twice_the_same, layout) == pytest.approx(0.5)


def test_flicker_looks_at_the_background_alone() -> None:
    video = np.zeros((3, 40, 60, 3), np.uint8)
    video[1, 10:20, 6:24] = 200
    assert metrics.flicker(video, seen(CAT, (0.1, 0.2, 0.4, 0.6))) == 0
    assert metrics.flicker(video, [[], [], []]) > 0
    video[:] = 0
    video[1] += 10
    assert metrics.flicker(video, [[], [], []]) == pytest.approx(10)
