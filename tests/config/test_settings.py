"""Settings that exclude each other, and those of the presets."""

from __future__ import annotations

from dataclasses import fields

import pytest

import ttom.config
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import UserError
from ttom.presets import PRESETS


def test_values_that_exclude_each_other() -> None:
    with pytest.raises(UserError, match="(?s)`tto.guided_steps` is 9.*`sampler.steps`"):
        Settings(sampler=SamplerConfig(steps=8), tto=TTOConfig(guided_steps=9))
    with pytest.raises(UserError, match="`adapter.first_block` is 2"):
        Settings(adapter=AdapterConfig(first_block=2), tto=TTOConfig(blocks=(1,)))


def test_presets_are_valid() -> None:
    for make in PRESETS.values():
        assert isinstance(make(), Settings)


def test_every_group_is_a_class_of_the_package() -> None:
    for group in fields(Settings):
        assert getattr(ttom.config, str(group.type)) is type(getattr(Settings(), group.name))
