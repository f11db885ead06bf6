"""Settings are checked when they are made, in terms of their fields."""

from __future__ import annotations

from typing import Any

import pytest

from ttom.config import (
    AdapterConfig,
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
        (RuntimeConfig, {"compile": True, "resident_blocks": 2}, "do not go together"),
    ],
)
def test_wrong_values_name_the_field(make: Any, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as error:
        make(**fields)
    assert "--" not in str(error.value)


def test_values_that_exclude_each_other() -> None:
    with pytest.raises(UserError, match="(?s)`tto.guided_steps` is 9.*`sampler.steps`"):
        Settings(sampler=SamplerConfig(steps=8), tto=TTOConfig(guided_steps=9))
    with pytest.raises(UserError, match="`adapter.first_block` is 2"):
        Settings(adapter=AdapterConfig(first_block=2), tto=TTOConfig(blocks=(1,)))


def test_secrets_are_not_repeated() -> None:
    for fields in ({"key_variable": "sk-secret"}, {"base_url": "https://user:secret@host/v1"}):
        with pytest.raises(UserError) as error:
            PlannerConfig(**fields)  # type: ignore[arg-type]
        assert "secret" not in str(error.value)


def test_presets_are_valid() -> None:
    for make in PRESETS.values():
        assert isinstance(make(), Settings)
