"""Guidance: how a layout acts on a run. Methods are made of parts, which share one protocol and can be combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttom.guidance.registry import METHODS, Inputs, Method, find_method, register_method

if TYPE_CHECKING:
    from ttom.guidance.protocol import Outcome, Part, Step

__all__ = ["METHODS", "Inputs", "Method", "Outcome", "Part", "Step", "find_method", "register_method"]


def __getattr__(name: str) -> Any:
    # Lazily: the command line checks a method's name before torch is imported.
    if name in ("Outcome", "Part", "Step"):
        from ttom.guidance import protocol

        return getattr(protocol, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
