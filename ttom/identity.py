"""What makes two runs the same case: short hashes of settings, of a layout's content, and of a whole request."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ttom.config import RuntimeConfig, Settings
from ttom.layout.model import Layout

if TYPE_CHECKING:
    from ttom.prepare import Request

_PLANNER_IRRELEVANT = (
    "key_variable", "timeout", "retries", "concurrency", "cache_dir", "offline", "refresh", "strict", "input_price",
    "output_price",
)  # fmt: skip


_PLAIN = RuntimeConfig()


def settings_hash(settings: Settings) -> str:
    """16 hex digits that depend on every setting that decides the video.

    Where the memory lies and how the planner reaches its server are left out: both may move between two runs.
    """
    values = asdict(settings)
    for name in _PLANNER_IRRELEVANT:
        del values["planner"][name]
    memory = values["memory"]
    values["memory"] = {**memory, "path": None, "index_gpu": False} if settings.memory.active else None
    if not settings.bias.difference:
        del values["bias"]["difference"]  # as before there was such a setting
    del values["tto"]["probe"]  # settings are resolved: the blocks say what it said
    return _digest(values)


def layout_digest(layout: Layout) -> str:
    """16 hex digits that depend on what the layout shows; not on who made it nor on the notes of its planning."""
    return _digest(layout.model_dump(mode="json", exclude={"notes", "source", "left_out"}))


def identity(request: Request, model_digest: str | None, dtype: str = "auto", runtime: RuntimeConfig = _PLAIN) -> str:
    """16 hex digits for a case: equal for two runs that make the same video on the same kind of machine.

    They depend on the prompt, the seed, the method, the content of a given layout, the settings that decide the video
    (`settings_hash`) and the model's weights; of several tries on their number and on who chooses among them; and on
    what changes pixels by more than rounding does: the number format as asked for, 8-bit weights, and tiled decoding.
    """
    given = layout_digest(request.layout) if request.layout is not None else None
    tries = [request.tries, request.check] if request.tries > 1 else []
    pixels = {f"dtype={dtype}": dtype != "auto", "fp8": runtime.fp8, "vae_tiling": runtime.vae_tiling}
    changed = [name for name, differs in pixels.items() if differs]
    settings = settings_hash(request.settings)
    return _digest([request.prompt, request.seed, request.method, given, settings, model_digest, *tries, *changed])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
