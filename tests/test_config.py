"""Settings are checked when they are made, in terms of their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from ttom.config import (
    AdapterConfig,
    BiasConfig,
    LVDConfig,
    MemoryConfig,
    PlannerConfig,
    RuntimeConfig,
    SamplerConfig,
    Settings,
    TTOConfig,
)
from ttom.errors import UserError
from ttom.presets import PRESETS


@pytest.mark.parametrize(
    ("make", "fields", "problem"),
    [
        (SamplerConfig, {"steps": 0}, "`sampler.steps` is 0"),
        (SamplerConfig, {"steps": "many"}, "`sampler.steps` is many"),
        (SamplerConfig, {"guidance_scale": float("nan")}, "`sampler.guidance_scale` is nan"),
        (AdapterConfig, {"projections": ()}, "`adapter.projections` is empty"),
        (AdapterConfig, {"projections": ("to_q", "to_x")}, "(?s)to_q to_x.*some of to_q, to_k"),
        (TTOConfig, {"lr": None}, "`tto.lr` is None"),
        (TTOConfig, {"blocks": (1, 1)}, "`tto.blocks` is 1 1"),
        (TTOConfig, {"mask": "square"}, "(?s)`tto.mask` is square.*one of gaussian"),
        (MemoryConfig, {"mode": "raed"}, "(?s)`memory.mode` is raed.*off, read, readwrite"),
        (MemoryConfig, {"fusion": "mean"}, "`memory.fusion` is mean"),
        (MemoryConfig, {"dtype": "int8"}, "`memory.dtype` is int8"),
        (MemoryConfig, {"namespace": " "}, "`memory.namespace`"),
        (MemoryConfig, {"namespace": None}, "`memory.namespace` is None"),
        (PlannerConfig, {"kind": "oracle"}, "(?s)`planner.kind` is oracle.*rules, llm"),
        (PlannerConfig, {"stages": ("layout",)}, "`planner.stages` is layout"),
        (PlannerConfig, {"stages": None}, "`planner.stages` is None"),
        (PlannerConfig, {"stages": "one-call"}, "`planner.stages` is one-call"),
        (PlannerConfig, {"key_variable": None}, "`planner.key_variable` is not the name"),
        (PlannerConfig, {"base_url": 5}, "`planner.base_url` is not a plain http address"),
        (RuntimeConfig, {"compile": True, "resident_blocks": 2}, "do not go together"),
    ],
)
def test_wrong_values_name_the_field(make: Any, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as error:
        make(**fields)
    assert "--" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (SamplerConfig, "steps"),
        (SamplerConfig, "frames"),
        (AdapterConfig, "rank"),
        (AdapterConfig, "first_block"),
        (TTOConfig, "downsample"),
        (LVDConfig, "iterations"),
        (PlannerConfig, "retries"),
        (PlannerConfig, "repair_rounds"),
        (PlannerConfig, "concurrency"),
        (MemoryConfig, "top_k"),
        (MemoryConfig, "max_items"),
        (MemoryConfig, "max_bytes"),
        (RuntimeConfig, "resident_blocks"),
    ],
)
def test_whole_numbers_are_whole(make: Any, name: str) -> None:
    make(**{name: 2})
    for value in (2.5, 2.0, True, "2", float("nan")):
        with pytest.raises(UserError, match=rf"`\w+\.{name}` is {value}"):
            make(**{name: value})


@pytest.mark.parametrize("make", [TTOConfig, BiasConfig])
def test_blocks_are_whole_numbers(make: Any) -> None:
    make(blocks=(0, 2))
    for blocks in ((1.5,), (True,), (0, -1), ("1",), (), "some", 3, None):
        with pytest.raises(UserError, match=r"`\w+\.blocks` is "):
            make(blocks=blocks)


@pytest.mark.parametrize(
    "make", [SamplerConfig, AdapterConfig, TTOConfig, BiasConfig, PlannerConfig, MemoryConfig, RuntimeConfig]
)
def test_switches_are_true_or_false(make: Any) -> None:
    switches = [item.name for item in fields(make) if isinstance(item.default, bool)]
    assert switches
    for name in switches:
        make(**{name: True})
        for value in ("x", None, 1):
            with pytest.raises(UserError, match=rf"(?s)`\w+\.{name}` is {value}.*True or False"):
                make(**{name: value})


@pytest.mark.parametrize("name", ["embedder", "index", "namespace", "shared_namespace"])
def test_names_of_a_memory(name: str) -> None:
    for value in (" ", 5):
        with pytest.raises(UserError, match=f"`memory.{name}`"):
            MemoryConfig(**{name: value})  # type: ignore[arg-type]


def test_values_that_exclude_each_other() -> None:
    with pytest.raises(UserError, match="(?s)`tto.guided_steps` is 9.*`sampler.steps`"):
        Settings(sampler=SamplerConfig(steps=8), tto=TTOConfig(guided_steps=9))
    with pytest.raises(UserError, match="`adapter.first_block` is 2"):
        Settings(adapter=AdapterConfig(first_block=2), tto=TTOConfig(blocks=(1,)))


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


def test_presets_are_valid() -> None:
    for make in PRESETS.values():
        assert isinstance(make(), Settings)
