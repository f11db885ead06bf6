"""When a layout is right."""

from __future__ import annotations

import pytest

from experiments.planning import scoring
from tests.experiments.planning.items import BOTH, COUNT, MOTION, RELATION, moving
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan


def test_matching_rule() -> None:
    (item,) = plan("a beach umbrella", aspect=1.5).objects
    for name in ("umbrella", "umbrellas", "beach umbrella", "big beach umbrella"):
        assert scoring.matches(name, item)
    for name in ("beach", "brella", "umbrella stand"):
        assert not scoring.matches(name, item)


def test_motion_rule() -> None:
    layout = plan(MOTION["prompt"], aspect=1.5)
    assert scoring.motion_is_right(layout, MOTION)
    for wrong in ({"d_1": "right"}, {"d_1": "up"}, {"object_1": "hen"}, {"object_2": "hen", "d_2": "left"}):
        assert not scoring.motion_is_right(layout, MOTION | wrong)
    layout = plan(BOTH["prompt"], aspect=1.5)
    assert scoring.motion_is_right(layout, BOTH)
    assert not scoring.motion_is_right(layout, BOTH | {"d_2": "down"})
    still = plan("a kite", aspect=1.5)
    assert not scoring.motion_is_right(still, MOTION)


def test_relation_rule() -> None:
    layout = plan(RELATION["prompt"], aspect=1.5)
    for name in ("on", "above"):
        assert scoring.relation_is_right(layout, RELATION | {"spatial": name})
    for name in ("under", "below", "left", "right"):
        assert not scoring.relation_is_right(layout, RELATION | {"spatial": name})
    assert not scoring.relation_is_right(layout, RELATION | {"object_2": "cart"})


def test_count_rule() -> None:
    layout = plan(COUNT["prompt"], aspect=1.5)
    assert scoring.count_is_right(layout, COUNT)
    assert not scoring.count_is_right(layout, COUNT | {"numbers": "2, 2"})
    assert not scoring.count_is_right(layout, COUNT | {"objects": "hen, cart"})


def test_wilson_interval() -> None:
    assert scoring.wilson(9, 10) == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert scoring.wilson(10, 10)[1] == 1.0
    assert scoring.wilson(0, 0) == [0.0, 1.0]


def test_an_object_that_leaves_is_judged_by_where_it_was() -> None:
    gone = moving("1", 0.0, 0.8).model_copy(update={"visible": (0.0, 0.45)})
    layout = Layout(prompt="a hen", objects=(gone,))
    item = {"object_1": "hen", "d_1": "right", "object_2": "", "d_2": ""}
    assert scoring.motion_is_right(layout, item)
