"""The command line's names for the settings, in messages of a library that knows only fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast, get_args, get_type_hints

from tyro.conf import Positional

from ttom.config import PlannerConfig, RuntimeConfig, Settings

SHORT = {"planner.kind": "--planner", "planner.strict": "--strict", "planner.offline": "--offline"}
"""Options with a shorter name than their field's place in the settings."""
_SETTING = re.compile(r"`([a-z][a-z_]*(?:\.[a-z][a-z_]*)?)(?:=([^`]*))?`")


def with_flags(message: str, command: type | None = None) -> str:
    """The message with options in place of settings in backquotes: `tto.lr` -> --tto.lr, `seed=0` -> --seed 0.

    Args:
        message: What the library says.
        command: A dataclass whose options count too: that of a program other than `ttom`.
    """
    known = _settings() if command is None else _settings() | frozenset(_all_options(command))

    def flag(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in known:
            return match.group()
        option = SHORT.get(name) or "--" + name.replace("_", "-")
        return option if value is None else f"{option} {value}"

    return _SETTING.sub(flag, message)


@cache
def _settings() -> frozenset[str]:
    """Every name that is an option, or a group of options, of some command."""
    from ttom.cli import arguments, memory

    groups: dict[str, Any] = {field.name: field.default_factory for field in fields(Settings)}
    groups["runtime"] = RuntimeConfig
    names = set(groups)
    for group, owner in groups.items():
        names |= {f"{group}.{field.name}" for field in fields(owner)}
    for command in (*_commands(arguments), *_commands(memory)):
        names |= set(_options(command))
    return frozenset(names)


def _commands(module: ModuleType) -> list[Any]:
    """The module's own dataclasses, without options of a group, which have its name before theirs."""
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    return [value for value in own if is_dataclass(value) and not issubclass(value, PlannerConfig)]


def _all_options(command: type, prefix: str = "") -> Iterator[str]:
    """Names of a command's options and of those of its groups."""
    yield from (prefix + name for name in _options(command))
    for name, hint in get_type_hints(command, include_extras=True).items():
        group = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        if is_dataclass(group):
            unnamed = any(getattr(mark, "name", None) == "" for mark in getattr(hint, "__metadata__", ()))
            yield from _all_options(cast(type, group), prefix if unnamed else f"{prefix}{name}.")


def _options(command: Any) -> Iterator[str]:
    """Names of a command's options; not of what stands on its own, nor of a field that only holds groups."""
    for name, hint in get_type_hints(command, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        if Positional not in marks and not any(getattr(mark, "name", None) == "" for mark in marks):
            yield name.rstrip("_")
