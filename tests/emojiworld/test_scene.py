"""Where a thing is at each time: along its path at one speed, while it moves and is visible."""

from __future__ import annotations

import pytest

from ttom.emojiworld.nouns import extents
from ttom.emojiworld.scene import HEIGHT, WIDTH, Thing

BENT = Thing(3, ((10.0, 10.0), (40.0, 10.0), (40.0, 20.0)), 16.0, moving=(0.2, 0.6))


def test_speed_is_the_same_on_all_legs() -> None:
    assert BENT.vertex_times() == pytest.approx([0.2, 0.5, 0.6])  # 30 and 10 pixels
    assert BENT.center_at(0.35) == pytest.approx((25, 10)) and BENT.center_at(0.55) == pytest.approx((40, 15))


@pytest.mark.parametrize(("time", "center"), [(0.0, (10, 10)), (0.2, (10, 10)), (0.6, (40, 20)), (1.0, (40, 20))])
def test_it_rests_before_and_after_it_moves(time: float, center: tuple[float, float]) -> None:
    assert BENT.center_at(time) == pytest.approx(center)


def test_a_thing_that_stays_stays() -> None:
    still = Thing(3, ((10.0, 20.0),), 16.0)
    assert still.vertex_times() == [0.0]
    assert {still.center_at(time) for time in (0.0, 0.5, 1.0)} == {(10.0, 20.0)}


def test_boxes_are_those_of_the_sprite() -> None:
    width, height = extents()[3] * 8
    assert BENT.box_at(0.0) == pytest.approx((10 - width, 10 - height, 10 + width, 10 + height))


@pytest.mark.parametrize(
    ("center", "share"),
    [((WIDTH / 2, HEIGHT / 2), 1), ((0.0, HEIGHT / 2), 0.5), ((WIDTH, HEIGHT), 0.25), ((-50.0, 0.0), 0)],
)
def test_the_share_in_the_picture(center: tuple[float, float], share: float) -> None:
    assert Thing(3, (center,), 16.0).shown_at(0.5) == pytest.approx(share)


def test_what_is_not_visible_is_not_shown() -> None:
    thing = Thing(3, ((30.0, 30.0),), 16.0, visible=(0.25, 0.75))
    assert [thing.shown_at(time) for time in (0.2, 0.25, 0.75, 0.8)] == [0, 1, 1, 0]
