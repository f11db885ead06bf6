"""Settings of the denoising loop, and of how the model runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config.refusals import refuses, takes_switches, takes_whole_numbers
from ttom.config import RuntimeConfig, SamplerConfig
from ttom.types import VideoSize


@pytest.mark.parametrize(
    ("make", "values", "problem"),
    [
        (SamplerConfig, {"steps": 0}, "`sampler.steps` is 0"),
        (SamplerConfig, {"steps": "many"}, "`sampler.steps` is many"),
        (SamplerConfig, {"guidance_scale": float("nan")}, "`sampler.guidance_scale` is nan"),
        (SamplerConfig, {"flow_shift": 0.0}, "`sampler.flow_shift` is 0.0"),
        (SamplerConfig, {"batched_guidance": "yes"}, "`sampler.batched_guidance` is yes"),
        (RuntimeConfig, {"compile": True, "resident_blocks": 2}, "do not go together"),
        (RuntimeConfig, {"attention": "sage"}, "(?s)`runtime.attention` is sage.*with a backward"),
    ],
)
def test_wrong_values_name_the_field(make: Any, values: dict[str, Any], problem: str) -> None:
    refuses(make, problem, **values)


@pytest.mark.parametrize(
    ("make", "name"), [(SamplerConfig, "steps"), (SamplerConfig, "frames"), (RuntimeConfig, "resident_blocks")]
)
def test_whole_numbers_are_whole(make: Any, name: str) -> None:
    takes_whole_numbers(make, name)


@pytest.mark.parametrize("make", [SamplerConfig, RuntimeConfig])
def test_switches_are_true_or_false(make: Any) -> None:
    takes_switches(make)


def test_size_and_aspect() -> None:
    sampler = SamplerConfig(frames=5, height=16, width=24)
    assert (sampler.size, sampler.aspect) == (VideoSize(5, 16, 24), 1.5)
