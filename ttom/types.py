"""Words that every room shares.

Legend of dimension letters used in signatures:

    B  samples in a batch            F  latent frames
    C  latent channels               H  rows (latent or token grid, said where it matters)
    L  text tokens                   W  columns
    D  text embedding width          N  object groups (phrases)
    K  blocks whose maps are read    T  picture frames
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from ttom.errors import UserError

if TYPE_CHECKING:  # the command line's --help reads these types without paying for torch
    from torch import Tensor


Direction = Literal["left", "right", "up", "down"]
Stage = Literal["plan", "load", "optimize", "sample", "decode"]
STAGE_LABELS: dict[Stage, str] = {
    "plan": "planning",
    "load": "loading",
    "optimize": "optimizing",
    "sample": "sampling",
    "decode": "decoding",
}
"""What users read while a stage runs."""
Progress = Callable[[Stage, int, int, float | None], None]
"""Called with the stage, how many of its units are done, how many there are, and the loss where there is one."""


def no_progress(stage: Stage, done: int, total: int, loss: float | None) -> None:
    """A `Progress` that shows nothing."""


class ReportPart(BaseModel):
    """What every part of a report is: frozen, of known fields alone, without infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Recollection(Protocol):
    """What a memory holds for a prompt, and the way back in.

    `ttom.memory.memory.Lookup`, or a stand-in for it where the memory is in another process.
    """

    @property
    def state(self) -> dict[str, Tensor] | None:
        """The adapter to start from, or to load."""
        ...

    def keep(self, adapter: dict[str, Tensor], losses: tuple[float, float]) -> dict[str, Any] | None:
        """Take the adapter as optimized, with the first and the last loss; returns what a report says of it."""
        ...


@dataclass(frozen=True)
class TokenGrid:
    """Shape of the video tokens of a backbone: latent frames x rows x columns."""

    frames: int
    height: int
    width: int

    @property
    def count(self) -> int:
        return self.frames * self.height * self.width

    def reduced(self, factor: int) -> TokenGrid:
        """The grid with so many times fewer rows and columns, rounded down. Raises UserError if none would be left."""
        if factor > min(self.height, self.width):
            raise UserError(
                f"`tto.downsample` is {factor}",
                expected=f"at most {min(self.height, self.width)}: the picture has {self.height} x {self.width} tokens",
            )
        return TokenGrid(self.frames, self.height // factor, self.width // factor)


@dataclass(frozen=True)
class VideoSize:
    """Size of the picture: frames x height x width, in pixels."""

    frames: int
    height: int
    width: int


@dataclass(frozen=True)
class TextEmbeddings:
    """Prompt and negative prompt as the transformer takes them, each ``(1, L, D)``; negative None without guidance."""

    positive: Tensor
    negative: Tensor | None


@dataclass(frozen=True)
class ObjectMasks:
    """Soft masks of the object groups on the token grid.

    Attributes:
        masks: ``(N, F, H, W)``; each visible frame sums to 1, invisible frames are 0.
        visible: ``(N, F)`` bool; whether the object is in the picture in that latent frame.
    """

    masks: Tensor
    visible: Tensor
