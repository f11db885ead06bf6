"""The command line's names for the settings, in messages of a library that knows only fields."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import cache
from types import ModuleType
from typing import Any

from ttom.config import RuntimeConfig, Settings

SHORT = {"planner.kind": "--planner", "planner.strict": "--strict", "planner.offline": "--offline"}
"""Options with a shorter name than their field's place in the settings."""
_SETTING = re.compile(r"`([a-z][a-z_]*(?:\.[a-z][a-z_]*)?)(?:=([^`]*))?`")


def with_flags(message: str) -> str:
    """The message with options in place of settings in backquotes: `tto.lr` -> --tto.lr, `seed=0` -> --seed 0."""

    def flag(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in _settings():
            return match.group()
        option = SHORT.get(name) or "--" + name.replace("_", "-")
        return option if value is None else f"{option} {value}"

    return _SETTING.sub(flag, message)


@cache
def _settings() -> frozenset[str]:
    """Every name that may be an option of some command."""
    from ttom.cli import arguments, memory

    names = {"planner", "memory", "tto", "adapter", "sampler", "runtime"}
    for owner in (*_dataclasses(arguments), *_dataclasses(memory)):
        names |= {field.name.rstrip("_") for field in fields(owner)}
    groups: dict[str, Any] = {field.name: field.default_factory for field in fields(Settings)}
    groups["runtime"] = RuntimeConfig
    for group, owner in groups.items():
        names |= {f"{group}.{field.name}" for field in fields(owner)}
    return frozenset(names)


def _dataclasses(module: ModuleType) -> list[Any]:
    return [value for value in vars(module).values() if isinstance(value, type) and is_dataclass(value)]
