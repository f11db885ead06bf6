"""Detected against planned boxes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics import adherence
from eval.metrics.detections import Found
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject

UNIT = (0.0, 0.0, 0.5, 0.5)


def found(*box: float) -> Found:
    return Found(box, 0.9, "cat")  # type: ignore[arg-type]


def test_each_planned_box_is_matched_to_one_detection() -> None:
    """Two planned boxes that overlap, one detection: it satisfies one of them alone."""
    plan = [[UNIT, (0.0, 0.25, 0.5, 0.75)]]
    assert sorted(adherence.layout_miou(plan, [[found(0.0, 0.25, 0.5, 0.75)]])) == [0.0, 1.0]
    assert sorted(adherence.layout_miou(plan, [[found(*UNIT), found(0.0, 0.25, 0.5, 0.75)]])) == [1.0, 1.0]


def test_the_match_maximizes_the_sum() -> None:
    """Greedy would take .6 + 0; the best one to one match is 1/3 + 1/3."""
    first, second = (0.0, 0.0, 0.4, 1.0), (0.4, 0.0, 0.8, 1.0)
    a, b = found(0.2, 0.0, 0.6, 1.0), found(0.6, 0.0, 1.0, 1.0)
    # a overlaps both planned boxes by half: .2 / .6 = 1/3; b overlaps the second: 1/3
    assert adherence.layout_miou([[first, second]], [[a, b]]) == pytest.approx([1 / 3, 1 / 3])


def test_nothing_detected_counts_zero_and_nothing_planned_counts_nothing() -> None:
    assert adherence.layout_miou([[UNIT, UNIT], []], [[], [found(*UNIT)]]) == [0.0, 0.0]
    assert adherence.distances([[UNIT], []], [[], [found(*UNIT)]]) == [None]


def test_distance_is_a_share_of_the_diagonal() -> None:
    corner = found(0.75, 0.75, 1.0, 1.0)
    # Centers .125 and .875: .75 of the way from corner to corner
    assert adherence.distances([[(0.0, 0.0, 0.25, 0.25)]], [[corner]]) == pytest.approx([0.75])
    assert adherence.distances([[UNIT]], [[found(*UNIT), corner]]) == [0.0]


def layout(noun: str = "cat") -> Layout:
    start, end = Box(x0=0.0, y0=0.0, x1=0.2, y1=0.2), Box(x0=0.8, y0=0.0, x1=1.0, y1=0.2)
    frames = (KeyFrame(time=0.0, box=start), KeyFrame(time=1.0, box=end))
    moving = LayoutObject(id="1", phrase="red cat", noun=noun, key_frames=frames)
    late = LayoutObject(id="2", phrase="cats", noun=noun, key_frames=frames[:1], visible=(0.5, 1.0))
    return Layout(prompt="a red cat and cats", objects=(moving, late))


def test_planned_boxes_are_interpolated_and_grouped_by_noun() -> None:
    plan = adherence.planned(layout(), 3)
    assert list(plan) == ["cat"]
    assert [len(row) for row in plan["cat"]] == [1, 2, 2]  # the second object comes halfway
    assert plan["cat"][1][0] == pytest.approx((0.4, 0.0, 0.6, 0.2))
    assert adherence.planned(layout(), 1)["cat"][0][0] == pytest.approx((0.0, 0.0, 0.2, 0.2))


def test_flicker_is_measured_outside_of_boxes() -> None:
    video = np.zeros((2, 20, 20, 3), np.uint8)
    video[1] = 10
    video[1, :10, :10] = 200
    # The box covers rows and columns 0-7, with its margin 0 .. 10; the rest changes by 10
    box = [[(0.0, 0.0, 0.4, 0.4)]] * 2
    assert adherence.flicker(video, box) == pytest.approx(10.0)
    assert adherence.flicker(video, [[], []]) == pytest.approx((100 * 200 + 300 * 10) / 400)
    assert adherence.flicker(video, [[(0.0, 0.0, 1.0, 1.0)]] * 2) == 0.0


def test_equals_the_worlds_own_measure() -> None:
    """The world's layout mIoU is written for its detections; both on the same random boxes."""
    from ttom.emojiworld import metrics as world
    from ttom.emojiworld.detector import Detection
    from ttom.emojiworld.nouns import INDEX

    rng = np.random.default_rng(0)
    frames = []
    for _ in range(9):
        corners = rng.uniform(0, 0.6, (rng.integers(0, 4), 2))
        frames.append([Detection(INDEX["cat"], 0.9, (x, y, x + 0.3, y + 0.3)) for x, y in corners.tolist()])
    plan = adherence.planned(layout(), 9)["cat"]
    ours = adherence.layout_miou(plan, [[found(*one.box) for one in frame] for frame in frames])
    same_words = layout().model_copy(
        update={"objects": tuple(one.model_copy(update={"phrase": "cat"}) for one in layout().objects)}
    )
    assert np.mean(ours) == pytest.approx(world.layout_miou(frames, same_words))
