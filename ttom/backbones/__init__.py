"""Backbones: a diffusers pipeline seen through the method's protocol. ``load_backbone`` makes one from a name.

Importing this package is cheap: torch and diffusers are imported with the first name that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ttom.backbones.vocabulary import Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from ttom.backbones.cogvideox import CogVideoXBackbone
    from ttom.backbones.loading import ADAPTERS, load_backbone
    from ttom.backbones.protocol import Backbone
    from ttom.backbones.wan import WanBackbone

_LAZY = {
    "ADAPTERS": "loading",
    "Backbone": "protocol",
    "CogVideoXBackbone": "cogvideox",
    "WanBackbone": "wan",
    "load_backbone": "loading",
}

__all__ = [
    "ADAPTERS",
    "Backbone",
    "CogVideoXBackbone",
    "Vocabulary",
    "WanBackbone",
    "load_backbone",
    "load_vocabulary",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
