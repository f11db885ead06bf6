"""Typed settings. Frozen dataclasses, checked when built; presets.py holds the named values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ttom.errors import UserError

Method = Literal["ttom", "base"]
LossName = Literal["jsd", "bce", "center_of_mass"]
LORA_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def _require(ok: bool, name: str, received: object, expected: str) -> None:
    if not ok:
        raise UserError(f"--{name} is {received}", expected=expected, remedy=f"pass --{name} with such a value")


@dataclass(frozen=True)
class SamplerConfig:
    """The denoising loop."""

    steps: int = 50
    """Denoising steps."""
    guidance_scale: float = 5.0
    """Classifier-free guidance weight; 1 or less turns guidance off."""
    frames: int = 81
    """Picture frames, 4k+1 for the Wan VAE."""
    height: int = 480
    """Picture height in pixels."""
    width: int = 832
    """Picture width in pixels."""
    fps: int = 16
    """Frames per second of the written video."""
    max_sequence_length: int = 512
    """Text tokens the prompt is padded or cut to."""
    negative_prompt: str = ""
    """Text of the unconditional branch."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "sampler.steps", self.steps, "a whole number of at least 1")
        for name in ("frames", "height", "width", "fps", "max_sequence_length"):
            _require(getattr(self, name) >= 1, f"sampler.{name}", getattr(self, name), "a whole number of at least 1")


@dataclass(frozen=True)
class AdapterConfig:
    """The LoRA that test-time optimization trains (section 4.1: q, k, v, o of cross-attention, rank 32)."""

    rank: int = 32
    """Rank of the update."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    projections: tuple[str, ...] = LORA_PROJECTIONS
    """Linear layers of the text-to-video attention that get a LoRA."""
    all_blocks: bool = False
    """Attach to every block, also where no gradient arrives; by default only up to the last target block."""

    def __post_init__(self) -> None:
        _require(self.rank >= 1, "adapter.rank", self.rank, "a whole number of at least 1")
        _require(
            bool(self.projections) and set(self.projections) <= set(LORA_PROJECTIONS),
            "adapter.projections",
            self.projections,
            f"some of {', '.join(LORA_PROJECTIONS)}",
        )


@dataclass(frozen=True)
class TTOConfig:
    """Test-time optimization (section 3.2)."""

    blocks: tuple[int, ...] = (3,)
    """Transformer blocks whose attention maps the loss reads, counted from 0."""
    lr: float = 1e-4
    """AdamW learning rate."""
    weight_decay: float = 0.0
    """AdamW weight decay."""
    guided_steps: int = 5
    """Denoising steps, from the first, before which the LoRA is optimised (table 7)."""
    iterations: int = 8
    """Optimiser iterations before each guided step (table 8)."""
    loss: LossName = "jsd"
    """Attention-to-layout loss (table 5)."""
    stop_loss: float | None = None
    """A guided step's iterations end early once the loss is below this; off if not set."""
    keep_after: bool = False
    """Leave the LoRA on in the steps after the guided ones."""

    def __post_init__(self) -> None:
        _require(len(self.blocks) > 0, "tto.blocks", self.blocks, "at least one block index")
        _require(min(self.blocks) >= 0, "tto.blocks", self.blocks, "block indices counted from 0")
        _require(self.lr > 0, "tto.lr", self.lr, "a number above 0")
        _require(self.weight_decay >= 0, "tto.weight-decay", self.weight_decay, "0 or more")
        _require(self.guided_steps >= 1, "tto.guided-steps", self.guided_steps, "a whole number of at least 1")
        _require(self.iterations >= 1, "tto.iterations", self.iterations, "a whole number of at least 1")


@dataclass(frozen=True)
class PlannerConfig:
    """The rules planner."""

    seed: int = 0
    """Seed of the small random choices in a layout; the same seed gives the same layout."""


@dataclass(frozen=True)
class Settings:
    """All that one run needs besides the prompt and the model."""

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    tto: TTOConfig = field(default_factory=TTOConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)

    def __post_init__(self) -> None:
        _require(
            self.tto.guided_steps <= self.sampler.steps,
            "tto.guided-steps",
            self.tto.guided_steps,
            f"at most --sampler.steps ({self.sampler.steps})",
        )
