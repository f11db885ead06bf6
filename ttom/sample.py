"""A prompt made ready, and what becomes of it: its tokens and masks, and the denoising with or without optimisation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ttom.config import SamplerConfig, Settings
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.types import ObjectMasks, TextEmbeddings, VideoSize

if TYPE_CHECKING:
    from torch import Tensor

    from ttom.backbones.protocol import Backbone

Stage = Literal["plan", "load", "optimize", "sample", "decode"]
Progress = Callable[[Stage, int, int, float | None], None]
"""Called with the stage, the parts of it done, their number, and the loss where there is one."""


class Recollection(Protocol):
    """What a memory holds for a prompt, and the way back in; `ttom.memory.memory.Lookup`, or a stand-in for it where
    the memory is in another process."""

    @property
    def state(self) -> dict[str, Tensor] | None:
        """The adapter to start from, or to load."""
        ...

    def keep(self, adapter: dict[str, Tensor], losses: tuple[float, float]) -> dict[str, Any] | None:
        """Take the adapter as optimized, with the first and the last loss; returns what a report says of it."""
        ...


@dataclass
class Sampled:
    """Latents and what was seen on the way to them."""

    latents: Tensor
    losses: list[list[float]] = field(default_factory=list)
    maps_before: Tensor | None = None
    maps_after: Tensor | None = None
    seconds_optimize: float = 0.0
    seconds_sample: float = 0.0
    memory: dict[str, Any] | None = None


@dataclass(frozen=True)
class Sample:
    """A prompt, ready to denoise: noise, text, and each object group's tokens and masks.

    ``prompt`` is the text of the video: the user's, or the enriched one if the planner's settings say so.
    """

    backbone: Backbone
    prompt: str
    layout: Layout | None
    planner: dict[str, Any] | None
    latents: Tensor
    text: TextEmbeddings
    tokens: list[list[int]]
    masks: ObjectMasks | None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Parts of the prompt that the planned layout does not show; nothing where the layout was given."""
        return self.layout.left_out if self.layout is not None and self.planner is not None else ()


def checked_size(backbone: Backbone, settings: Settings) -> VideoSize:
    size = VideoSize(settings.sampler.frames, settings.sampler.height, settings.sampler.width)
    backbone.check_size(size)
    backbone.check_blocks(settings.tto.targets)
    return size


def encode(backbone: Backbone, prompt: str, sampler: SamplerConfig) -> TextEmbeddings:
    return backbone.encode_prompt(
        prompt,
        sampler.negative_prompt,
        guidance=sampler.guidance_scale > 1,
        max_sequence_length=sampler.max_sequence_length,
    )


def tokens_and_masks(
    backbone: Backbone, prompt: str, layout: Layout | None, size: VideoSize, settings: Settings
) -> tuple[list[list[int]], ObjectMasks | None]:
    """Text tokens and masks of each object group."""
    from ttom.layout.raster import rasterise

    if layout is None:
        return [], None
    length = settings.sampler.max_sequence_length
    tokens = [backbone.vocabulary.phrase_tokens(prompt, group.phrase, length) for group in layout.groups()]
    grid = backbone.token_grid(size).reduced(settings.tto.downsample)
    masks = rasterise(layout, grid, frames=size.frames, temporal_compression=backbone.temporal_compression)
    return tokens, masks


def steer(
    sample: Sample,
    settings: Settings,
    seed: int,
    tell: Progress,
    logger: Any,
    lookup: Recollection | None,
    finish: bool = True,
) -> Sampled:
    """Denoise with test-time optimization in the guided steps, or with what the memory holds for such a prompt."""
    from ttom.guidance.tto.fit import run_loaded, run_tto

    assert sample.masks is not None  # method ttom has a layout
    state = lookup.state if lookup is not None else None
    inputs = (sample.backbone, sample.latents, sample.text, sample.tokens, sample.masks, settings)
    if state is not None and settings.memory.use == "load":
        done = run_loaded(*inputs, state, seed, progress=tell)
    else:
        done = run_tto(*inputs, seed, logger=logger, progress=tell, initial_adapter=state, finish=finish)
    if not all(math.isfinite(loss) for losses in done.losses for loss in losses):
        raise UserError(
            "the attention loss is not a finite number: the optimisation left the range of the number format",
            remedy=f"a smaller `tto.lr` (it is {settings.tto.lr}), or `dtype=float32`",
        )
    losses = (done.losses[0][0], done.losses[-1][-1])
    report = lookup.keep(done.adapter, losses) if lookup is not None else None
    maps = (done.maps_before, done.maps_after)
    return Sampled(done.latents, done.losses, *maps, done.seconds_optimize, done.seconds_sample, report)


def denoise(sample: Sample, settings: Settings, seed: int, tell: Progress) -> Sampled:
    """Denoise with the plain model; reads the objects' maps once, at the first step, for the picture."""
    import torch

    from ttom.sampler import Sampler

    start = time.perf_counter()
    backbone, latents, text, tokens = sample.backbone, sample.latents, sample.text, sample.tokens
    sampler = Sampler(backbone, text, settings.sampler, seed)
    maps = None
    if tokens:
        small = backbone.reduced(latents, settings.tto.downsample)
        with torch.no_grad():
            maps = backbone.object_maps(small, sampler.timesteps[0], text.positive, tokens, settings.tto.targets)
        maps = maps.mean(dim=0).cpu()
    final = sampler.run(latents, progress=tell)
    return Sampled(final, maps_before=maps, seconds_sample=time.perf_counter() - start)
