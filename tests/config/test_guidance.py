"""Settings of the methods and of the adapter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config.refusals import refuses, takes_switches, takes_whole_numbers
from ttom.config import AdapterConfig, BiasConfig, LVDConfig, TTOConfig


@pytest.mark.parametrize(
    ("make", "values", "problem"),
    [
        (AdapterConfig, {"projections": ()}, "`adapter.projections` is empty"),
        (AdapterConfig, {"projections": ("to_q", "to_x")}, "(?s)to_q to_x.*some of to_q, to_k"),
        (TTOConfig, {"lr": None}, "`tto.lr` is None"),
        (TTOConfig, {"blocks": (1, 1)}, "`tto.blocks` is 1 1"),
        (TTOConfig, {"mask": "square"}, "(?s)`tto.mask` is square.*one of gaussian"),
    ],
)
def test_wrong_values_name_the_field(make: Any, values: dict[str, Any], problem: str) -> None:
    refuses(make, problem, **values)


@pytest.mark.parametrize(
    ("make", "name"),
    [(AdapterConfig, "rank"), (AdapterConfig, "first_block"), (TTOConfig, "downsample"), (LVDConfig, "iterations")],
)
def test_whole_numbers_are_whole(make: Any, name: str) -> None:
    takes_whole_numbers(make, name)


@pytest.mark.parametrize("make", [TTOConfig, BiasConfig])
def test_blocks_are_whole_numbers(make: Any) -> None:
    make(blocks=(0, 2))
    for blocks in ((1.5,), (True,), (0, -1), ("1",), (), "some", 3, None):
        refuses(make, r"`\w+\.blocks` is ", blocks=blocks)


@pytest.mark.parametrize("make", [AdapterConfig, TTOConfig, BiasConfig])
def test_switches_are_true_or_false(make: Any) -> None:
    takes_switches(make)


def test_blocks_are_resolved_before_they_are_targets() -> None:
    assert TTOConfig(blocks=(1, 2)).targets == (1, 2)
    with pytest.raises(AssertionError, match="resolved"):
        _ = TTOConfig(blocks="auto").targets
