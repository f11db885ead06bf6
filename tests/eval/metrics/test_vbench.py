"""VBench's totals, against the published arithmetic."""

from __future__ import annotations

import pytest

from eval.metrics.vbench import DIMENSIONS, aggregate, scale
from ttom.errors import UserError


def test_sixteen_dimensions_with_their_prompts() -> None:
    assert len(DIMENSIONS) == 16
    assert sum(dimension.group == "quality" for dimension in DIMENSIONS.values()) == 7
    assert DIMENSIONS["temporal_flickering"].prompts == 75 and DIMENSIONS["dynamic_degree"].weight == 0.5


def test_ends_of_the_ranges_give_0_and_1() -> None:
    lowest = {name: dimension.low for name, dimension in DIMENSIONS.items()}
    highest = {name: dimension.high for name, dimension in DIMENSIONS.items()}
    assert aggregate(lowest).total == 0
    assert aggregate(highest).quality == pytest.approx(1) and aggregate(highest).total == pytest.approx(1)


def test_by_hand() -> None:
    scores = {name: dimension.low for name, dimension in DIMENSIONS.items()}
    # Quality: dynamic degree 1 at weight .5, imaging .65: (.5 + .65) / 6.5; Semantic: scene halfway: .5 / 9
    scores |= {"dynamic_degree": 1.0, "imaging_quality": 0.65, "scene": 0.4111}
    result = aggregate(scores)
    assert result.quality == pytest.approx(1.15 / 6.5)
    assert result.semantic == pytest.approx(0.5 / 9)
    assert result.total == pytest.approx((4 * 1.15 / 6.5 + 0.5 / 9) / 5)


def test_scores_outside_of_the_range_are_not_clipped() -> None:
    assert scale("scene", 0.9) == pytest.approx(0.9 / 0.8222)
    assert scale("motion_smoothness", 0.7) < 0


def test_it_refuses_without_all_dimensions() -> None:
    scores = dict.fromkeys(DIMENSIONS, 0.5)
    with pytest.raises(UserError, match="missing: .*scene"):
        aggregate({name: score for name, score in scores.items() if name != "scene"})
    with pytest.raises(UserError, match="unknown: .*beauty"):
        aggregate({**scores, "beauty": 1.0})
    with pytest.raises(UserError, match="not a number: .*scene"):
        aggregate({**scores, "scene": float("nan")})
