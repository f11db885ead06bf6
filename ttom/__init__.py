"""TTOM: text-to-video that follows a layout, by test-time optimization of stock diffusers pipelines.

>>> from ttom import TTOM
>>> t = TTOM.from_pretrained("emojiworld-wan")
>>> r = t.generate("A balloon moves from left to right above a house", seed=0)
>>> r.save("runs/balloon")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttom.errors import UserError
    from ttom.pipeline import TTOM
    from ttom.result import Result

__version__ = "0.1.0"
__all__ = ["TTOM", "Result", "UserError", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `ttom --help` does not wait for torch and diffusers.
    if name == "TTOM":
        from ttom.pipeline import TTOM

        return TTOM
    if name == "Result":
        from ttom.result import Result

        return Result
    if name == "UserError":
        from ttom.errors import UserError

        return UserError
    raise AttributeError(f"module 'ttom' has no attribute {name!r}")
