"""Settings of the planners; a key is never repeated in an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config.refusals import refuses, takes_switches, takes_whole_numbers
from ttom.config import PlannerConfig
from ttom.errors import UserError


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"kind": "oracle"}, "(?s)`planner.kind` is oracle.*rules, llm"),
        ({"stages": ("layout",)}, "`planner.stages` is layout"),
        ({"stages": ("metadata", "layout", "layout")}, "`planner.stages` is metadata layout layout"),
        ({"stages": ("one-call", "layout")}, "`planner.stages` is one-call layout"),
        ({"stages": None}, "`planner.stages` is None"),
        ({"stages": "one-call"}, "`planner.stages` is one-call"),
        ({"key_variable": None}, "`planner.key_variable` is not the name"),
        ({"base_url": 5}, "`planner.base_url` is not a plain http address"),
        ({"min_size": 0.6}, "`planner.min_size` is 0.6"),
    ],
)
def test_wrong_values_name_the_field(values: dict[str, Any], problem: str) -> None:
    refuses(PlannerConfig, problem, **values)


@pytest.mark.parametrize("name", ["retries", "repair_rounds", "concurrency"])
def test_whole_numbers_are_whole(name: str) -> None:
    takes_whole_numbers(PlannerConfig, name)


def test_switches_are_true_or_false() -> None:
    takes_switches(PlannerConfig)


@pytest.mark.parametrize("stages", [("metadata", "layout"), ("enrich", "one-call"), ("layout", "enrich", "metadata")])
def test_stages_that_plan(stages: Any) -> None:
    assert PlannerConfig(stages=stages).stages == stages


def test_secrets_are_not_repeated() -> None:
    secrets: list[dict[str, Any]] = [
        {"key_variable": "sk-secret"},
        {"key_variable": ("sk-secret",)},
        {"base_url": "https://user:secret@host/v1"},
        {"base_url": b"https://user:secret@host/v1"},
    ]
    for given in secrets:
        with pytest.raises(UserError) as error:
            PlannerConfig(**given)
        assert "secret" not in str(error.value)
