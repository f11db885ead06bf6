"""What the page must know of the model, its methods and their settings, in the words of the settings' docstrings."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ttom.checkpoints import EMBEDDED
from ttom.config import PlannerConfig, Settings
from ttom.errors import UserError
from ttom.guidance.registry import METHODS, find_method
from ttom.layout.limits import text_problem
from ttom.presets import PRESETS, find_preset, preset_for

_COMMON = ("sampler.steps", "sampler.guidance_scale", "sampler.negative_prompt")
_OF_METHOD: dict[str, tuple[str, ...]] = {
    "base": (),
    "bias": ("bias.strength", "bias.end", "bias.shape", "bias.inside", "bias.outside"),
    "lvd": ("lvd.share", "lvd.iterations", "lvd.scale", "lvd.top", "lvd.outside"),
    "ttom": (
        "tto.guided_steps", "tto.iterations", "tto.lr", "tto.loss", "tto.mask", "tto.sigma", "tto.average",
        "bias.strength", "bias.end",
    ),
}  # fmt: skip
_MEMORY = ("memory.mode", "memory.use", "memory.threshold", "memory.update")
_RANGES: dict[str, tuple[float, float]] = {
    "sampler.steps": (1, 200),
    "sampler.guidance_scale": (0, 30),
    "bias.strength": (0, 50),
    "bias.end": (0, 0.99),
    "bias.inside": (0, 10),
    "bias.outside": (0, 10),
    "lvd.share": (0.01, 1),
    "lvd.iterations": (1, 50),
    "lvd.scale": (0.01, 1000),
    "lvd.top": (0.01, 1),
    "lvd.outside": (0, 100),
    "tto.guided_steps": (1, 200),
    "tto.iterations": (1, 100),
    "tto.lr": (1e-7, 1),
    "tto.sigma": (0.01, 5),
    "memory.threshold": (-1, 1),
}
"""Minimum and maximum values that the server accepts, so that a typo does not block the queue for hours."""
_HELP = {
    "base": "The plain model: nothing acts on it.",
    "bias": "An attention bias pulls each object's words into its box. No optimization: as fast as the plain model.",
    "lvd": "Moves the latents along the gradient of an attention energy: the paper's main baseline.",
    "ttom": "Test-time optimization: trains a small LoRA in the first steps until attention follows the layout.",
}


def presets_for(model: str) -> list[str]:
    """Presets that fit a model, its own first: those of its video size that are no other embedded model's own."""
    own = preset_for(model)
    others = {preset_for(name) for name in EMBEDDED if name != model} - {own}
    size = find_preset(own)().sampler.size
    fitting = [name for name in PRESETS if name not in others and find_preset(name)().sampler.size == size]
    return [own, *(name for name in fitting if name != own)]


def planners(config: PlannerConfig) -> list[str]:
    """The planners that work here: a language model needs the package openai, and a key or an endpoint of your own."""
    can_ask = os.environ.get(config.key_variable) or config.base_url or os.environ.get("OPENAI_BASE_URL")
    return ["rules", "llm"] if can_ask and importlib.util.find_spec("openai") else ["rules"]


def methods(defaults: Settings, presets: Sequence[str]) -> list[dict[str, Any]]:
    """All methods with their main settings, as /api/info has them."""
    return [
        {
            "name": name,
            "help": _HELP.get(name, "A method of a plugin."),
            "presets": list(presets),
            "needs_layout": method.needs_layout,
            "lora": method.learns,
            "settings": [describe(setting, defaults) for setting in settings_of(name, defaults)],
        }
        for name, method in METHODS.items()
    ]


def settings_of(method: str, defaults: Settings) -> list[str]:
    """Names of the settings that the page shows for a method, or for several joined by +."""
    found = [name for part in method.split("+") for name in _OF_METHOD.get(part, ())]
    memory = _MEMORY if defaults.memory.active and find_method(method).uses_memory else ()
    return list(dict.fromkeys([*found, *memory, *_COMMON]))


def describe(setting: str, defaults: Settings) -> dict[str, Any]:
    """One setting: its type, default, limits and meaning."""
    group, name = setting.split(".")
    owner = type(getattr(defaults, group))
    hint = get_type_hints(owner)[name]
    kind, choices = _kind(setting, hint)
    low, high = _RANGES.get(setting, (None, None))
    default = getattr(getattr(defaults, group), name)
    return {
        "name": setting,
        "type": kind,
        "default": default,
        "min": low,
        "max": high,
        "choices": choices,
        "optional": type(None) in get_args(hint),
        "help": docs_of(owner.__module__, owner.__name__).get(name, ""),
    }


def _kind(setting: str, hint: Any) -> tuple[str, list[str] | None]:
    if setting == "tto.loss":
        from ttom.losses import LOSSES

        return "choice", list(LOSSES)
    if get_origin(hint) is Literal:
        return "choice", list(get_args(hint))
    if get_origin(hint) is Union or hasattr(hint, "__args__"):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return {int: "int", float: "float", bool: "bool"}.get(hint, "text"), None


@cache
def docs_of(module: str, name: str) -> dict[str, str]:
    """The docstrings below a dataclass's fields, which its source alone has."""
    owner = getattr(importlib.import_module(module), name)
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined]
    return found


def with_values(settings: Settings, method: str, values: dict[str, Any]) -> Settings:
    """The settings with the values that a client sent.

    Raises:
        UserError: For a setting that the method does not have here, or a value out of range.
    """
    known = settings_of(method, settings)
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"`{name}` is not a setting of method {method} here", expected=f"one of {', '.join(known)}")
        about = describe(name, settings)
        if value is not None or not about["optional"]:
            value = _checked(value, about)
        group, field = name.split(".")
        groups.setdefault(group, {})[field] = value
    steps = groups.get("sampler", {}).get("steps", settings.sampler.steps)
    if "tto.guided_steps" not in known and settings.tto.guided_steps > steps:
        groups.setdefault("tto", {})["guided_steps"] = steps  # it has no meaning here, so it must not be an error
    return replace(settings, **{group: replace(getattr(settings, group), **given) for group, given in groups.items()})


def _checked(value: Any, about: dict[str, Any]) -> Any:
    """The value in its type. Raises UserError."""
    kind, low, high = about["type"], about["min"], about["max"]
    if kind == "float" and type(value) is int:
        value = float(value)
    fits = {"int": type(value) is int, "float": type(value) is float, "bool": type(value) is bool}.get(
        kind, isinstance(value, str)
    )
    if kind == "choice":
        fits = value in about["choices"]
    expected = f"one of {', '.join(about['choices'])}" if kind == "choice" else {"text": "text"}.get(kind, f"{kind}")
    if low is not None:
        fits, expected = fits and low <= value <= high, f"{kind} from {low:g} to {high:g}"
    if kind == "text" and fits and text_problem(value):
        fits, expected = False, "plain text"
    if not fits:
        raise UserError(f"`{about['name']}` is {str(value)[:80]}", expected=expected)
    return value
