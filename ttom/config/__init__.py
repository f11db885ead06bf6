"""Typed settings. Frozen dataclasses, checked when built; presets.py holds the named values.

Messages, here and in the whole library, name a setting by its field in backquotes, with or without a value:
`tto.lr`, `dtype=float32`. The command line shows its own options in their place (ttom/cli/flags.py).
"""

from __future__ import annotations

from ttom.config.checks import is_plain_address, is_whole
from ttom.config.guidance import (
    LORA_PROJECTIONS,
    AdapterConfig,
    Average,
    BiasConfig,
    LVDConfig,
    Mask,
    Region,
    TTOConfig,
)
from ttom.config.memory import Fusion, KeyKind, MemoryConfig, MemoryMode, MemoryUse, Update, ValueDtype
from ttom.config.planner import PlannerConfig, PlannerKind, PlannerStage, VideoText
from ttom.config.sampler import Device, Dtype, RuntimeConfig, SamplerConfig
from ttom.config.settings import Settings

__all__ = [
    "LORA_PROJECTIONS",
    "AdapterConfig",
    "Average",
    "BiasConfig",
    "Device",
    "Dtype",
    "Fusion",
    "KeyKind",
    "LVDConfig",
    "Mask",
    "MemoryConfig",
    "MemoryMode",
    "MemoryUse",
    "PlannerConfig",
    "PlannerKind",
    "PlannerStage",
    "Region",
    "RuntimeConfig",
    "SamplerConfig",
    "Settings",
    "TTOConfig",
    "Update",
    "ValueDtype",
    "VideoText",
    "is_plain_address",
    "is_whole",
]
