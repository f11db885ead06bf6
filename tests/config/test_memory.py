"""Settings of the memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config.refusals import refuses, takes_switches, takes_whole_numbers
from ttom.config import MemoryConfig


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"mode": "raed"}, "(?s)`memory.mode` is raed.*off, read, readwrite"),
        ({"fusion": "mean"}, "`memory.fusion` is mean"),
        ({"dtype": "int8"}, "`memory.dtype` is int8"),
        ({"threshold": 1.5}, "`memory.threshold` is 1.5"),
        ({"threshold": float("nan")}, "`memory.threshold` is nan"),
    ],
)
def test_wrong_values_name_the_field(values: dict[str, Any], problem: str) -> None:
    refuses(MemoryConfig, problem, **values)


@pytest.mark.parametrize("name", ["top_k", "max_items", "max_bytes"])
def test_whole_numbers_are_whole(name: str) -> None:
    takes_whole_numbers(MemoryConfig, name)


def test_switches_are_true_or_false() -> None:
    takes_switches(MemoryConfig)


@pytest.mark.parametrize("name", ["embedder", "index", "namespace", "shared_namespace"])
def test_names(name: str) -> None:
    for value in (" ", 5):
        refuses(MemoryConfig, f"`memory.{name}`", **{name: value})


def test_a_namespace_is_not_shared_with_itself() -> None:
    refuses(MemoryConfig, "`memory.shared_namespace` is a", namespace="a", shared_namespace="a")
    MemoryConfig(namespace="a", shared_namespace="b")


@pytest.mark.parametrize(
    ("values", "active"), [({}, False), ({"path": "m"}, True), ({"path": "m", "mode": "off"}, False)]
)
def test_whether_there_is_a_memory(values: dict[str, Any], active: bool) -> None:
    assert MemoryConfig(**values).active is active
