"""Shapes of token grids, and what all parts of a report refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ttom.errors import UserError
from ttom.types import ReportPart, TokenGrid


class Part(ReportPart):
    model_name: str
    value: float = 0.0


def test_a_grid_counts_its_tokens() -> None:
    assert TokenGrid(21, 30, 52).count == 32_760  # 81 frames of 480 x 832 in Wan2.1


@pytest.mark.parametrize(("factor", "reduced"), [(1, (3, 5, 8)), (2, (3, 2, 4)), (5, (3, 1, 1))])
def test_a_reduced_grid_keeps_its_frames(factor: int, reduced: tuple[int, int, int]) -> None:
    assert TokenGrid(3, 5, 8).reduced(factor) == TokenGrid(*reduced)


def test_no_grid_is_reduced_to_nothing() -> None:
    with pytest.raises(UserError, match="(?s)`tto.downsample` is 6.*at most 5: the picture has 5 x 8 tokens"):
        TokenGrid(3, 5, 8).reduced(6)


@pytest.mark.parametrize("values", [{"value": float("inf")}, {"value": float("nan")}, {"other": 1}])
def test_reports_hold_known_fields_and_finite_numbers(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Part(model_name="m", **values)


def test_reports_are_frozen() -> None:
    part = Part(model_name="m")
    with pytest.raises(ValidationError, match="frozen"):
        part.value = 1.0  # type: ignore[misc]
    assert part.model_copy(update={"value": 1.0}).value == 1.0
