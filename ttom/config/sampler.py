"""Settings of the denoising loop, and of how the model runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ttom.config.checks import is_positive, require, require_counts, require_switches
from ttom.errors import UserError
from ttom.types import VideoSize

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class SamplerConfig:
    """The denoising loop."""

    steps: int = 50
    """Denoising steps."""
    guidance_scale: float = 5.0
    """Classifier-free guidance weight; 1 or less turns guidance off."""
    flow_shift: float | None = None
    """Wan's flow shift: larger ones spend more steps at high noise. The model's own scheduler decides if not set."""
    dynamic_guidance: bool = False
    """Let the guidance weight vary over the steps, as diffusers' CogVideoXPipeline does with use_dynamic_cfg."""
    frames: int = 81
    """Picture frames: 4k+1 for Wan, 8k+1 for CogVideoX."""
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
    batched_guidance: bool | None = None
    """Predict for both prompts in one batch, or one after the other; as the stock pipeline does if not set."""
    cache_threshold: float | None = None
    """Skip all but the first block in steps where its output changes by less than this share (FirstBlockCache of
    diffusers), never in guided steps. Faster, but the video differs. Off if not set."""

    def __post_init__(self) -> None:
        require_counts(self, "sampler", "steps", "frames", "height", "width", "fps", "max_sequence_length")
        require_switches(self, "sampler", "dynamic_guidance")
        one_of = "True, False or None"
        require(self, "sampler", "batched_guidance", one_of, lambda b: b is None or isinstance(b, bool))
        require(self, "sampler", "guidance_scale", "a finite number", math.isfinite)
        above = "a finite number above 0, or None"
        for name in ("cache_threshold", "flow_shift"):
            require(self, "sampler", name, above, lambda t: t is None or is_positive(t))

    @property
    def size(self) -> VideoSize:
        """Frames, height and width."""
        return VideoSize(self.frames, self.height, self.width)

    @property
    def aspect(self) -> float:
        """Picture width / height."""
        return self.width / self.height


@dataclass(frozen=True)
class RuntimeConfig:
    """How the model runs: trades memory for time, and leaves the method as it is; see docs/performance.md."""

    checkpointing: bool = False
    """Optimize with gradient checkpointing: less memory, but blocks before the last target block run twice."""
    offload: bool = False
    """Keep the text encoder and the VAE on the CPU while they are idle."""
    resident_blocks: int | None = None
    """Transformer blocks, from the first, that stay on the GPU, the target blocks among them; the others come from the
    CPU in each step. All if not set."""
    vae_tiling: bool = False
    """Decode the video in overlapping tiles: less memory, slightly different pixels."""
    compile: bool = False
    """Compile the transformer's blocks with torch.compile, which takes some time in the first steps."""
    attention: str | None = None
    """Attention back end of diffusers, such as "_native_cudnn"; it needs a backward. diffusers' choice if not set."""
    fp8: bool = False
    """Keep the transformer's weights in 8 bits and compute in the usual format: half the memory, slightly different
    pixels."""

    def __post_init__(self) -> None:
        require_counts(self, "runtime", "resident_blocks", or_none=True)
        require_switches(self, "runtime", "checkpointing", "offload", "vae_tiling", "compile", "fp8")
        trains = "a back end with a backward"
        require(self, "runtime", "attention", trains, lambda a: a is None or not a.startswith("sage"))
        if self.compile and self.resident_blocks is not None:
            raise UserError(
                "`runtime.compile` and `runtime.resident_blocks` do not go together",
                remedy="leave one of them out",
            )
