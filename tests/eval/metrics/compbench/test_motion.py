"""Motion binding, computed by hand for each rule."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics.compbench import motion
from eval.metrics.registry import Excluded


def test_displacement_is_that_of_the_visible_points_centroid() -> None:
    tracks = np.array([[[0.1, 0.5], [0.3, 0.5], [0.9, 0.9]], [[0.4, 0.4], [0.6, 0.4], [0.0, 0.0]]])
    visible = np.ones((2, 3), bool)
    chosen = np.array([True, True, False])
    assert motion.displacement(tracks, visible, chosen) == pytest.approx((0.3, -0.1))  # from .2, .5 to .5, .4


def test_displacement_ends_where_points_are_last_seen() -> None:
    tracks = np.array([[[0.1, 0.1]], [[0.3, 0.1]], [[0.9, 0.9]]])
    visible = np.array([[True], [True], [False]])
    assert motion.displacement(tracks, visible, np.array([True])) == pytest.approx((0.2, 0.0))
    assert motion.displacement(tracks, ~visible, np.array([True])) is None
    assert motion.displacement(tracks, visible, np.array([False])) is None


def test_a_hidden_point_leaves_the_centroid() -> None:
    tracks = np.array([[[0.0, 0.0], [0.2, 0.0]], [[0.5, 0.0], [0.7, 0.0]]])
    visible = np.array([[True, True], [True, False]])
    assert motion.displacement(tracks, visible, np.array([True, True])) == pytest.approx((0.4, 0.0))  # .1 -> .5


@pytest.mark.parametrize(("direction", "score"), [("left", 0.3), ("right", 0.0), ("up", 0.0), ("down", 0.2)])
def test_the_move_counts_relative_to_the_background(direction: str, score: float) -> None:
    # Object (-.2, .3), background (.1, .1): net (-.3, .2)
    assert motion.object_score(direction, (-0.2, 0.3), (0.1, 0.1)) == pytest.approx(score)


def test_undetected_objects() -> None:
    assert motion.object_score("left", None, (0.0, 0.0)) == motion.UNDETECTED
    assert motion.object_score("left", (-0.5, 0.0), None) == 0.0  # no background to compare with
    with pytest.raises(Excluded, match="sideways"):
        motion.object_score("sideways", (0.0, 0.0), (0.0, 0.0))


def test_the_final_score() -> None:
    still = (0.0, 0.0)
    assert motion.motion(["left"], [(-0.5, 0.0)], still) == pytest.approx(0.2 + 0.8 * 0.5)
    assert motion.motion(["left"], [(0.5, 0.0)], still) == pytest.approx(0.2)
    assert motion.motion(["left"], [None], still) == 0.0
    # Two objects: half each
    assert motion.motion(["left", "up"], [(-0.4, 0.0), (0.0, -0.2)], still) == pytest.approx(0.2 + 0.8 * 0.3)
    # The second goes down, or is not there: half of the first
    assert motion.motion(["left", "up"], [(-0.4, 0.0), (0.0, 0.2)], still) == pytest.approx(0.2 + 0.8 * 0.2)
    assert motion.motion(["left", "up"], [(-0.4, 0.0), None], still) == pytest.approx(0.2 + 0.8 * 0.2)
    # One undetected, the other wrong: 0, hence .2; both undetected: -1, hence 0
    assert motion.motion(["left", "up"], [(0.4, 0.0), None], still) == pytest.approx(0.2)
    assert motion.motion(["left", "up"], [None, None], still) == 0.0


def test_the_quirk_swaps_objects_by_the_names_of_their_masks() -> None:
    left, right = (-0.4, 0.0), (0.4, 0.0)
    assert motion.in_directory_order(["zebra", "ant"], [left, right]) == [right, left]
    assert motion.in_directory_order(["ant", "zebra"], [left, right]) == [left, right]
    assert motion.in_directory_order(["ant", "zebra"], [None, right]) == [right, None]
    assert motion.in_directory_order(["ant"], [None]) == [None]
