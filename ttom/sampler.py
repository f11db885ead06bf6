"""One denoising loop for every backbone, around the pipeline's own scheduler."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ttom.backbones.protocol import Backbone
from ttom.config import SamplerConfig
from ttom.types import TextEmbeddings

Progress = Callable[[Literal["optimize", "sample"], int, int, float | None], None]
"""Called with the phase, how many of its units are done, how many there are, and the last loss (optimize only)."""


class Sampler:
    """Denoising with classifier-free guidance, one step at a time, equal to the stock pipeline's loop.

    Works on a copy of the pipeline's scheduler. Steps must be taken in order, each once: the scheduler keeps the
    last predictions.

    Args:
        backbone: The model.
        text: Embeddings; the negative ones are needed if guidance is on.
        config: Steps and guidance scale.
    """

    def __init__(self, backbone: Backbone, text: TextEmbeddings, config: SamplerConfig) -> None:
        self.backbone, self.text, self.scale = backbone, text, config.guidance_scale
        self.scheduler = copy.deepcopy(backbone.scheduler)
        self.scheduler.set_timesteps(config.steps, device=backbone.device)
        self.scheduler.set_begin_index(0)
        self.timesteps: Tensor = self.scheduler.timesteps

    @torch.no_grad()
    def step(self, index: int, latents: Tensor) -> Tensor:
        """Latents ``(1, C, F, H, W)`` before step ``index`` -> after it, float32."""
        timestep = self.timesteps[index]
        prediction = self.backbone.denoise(latents, timestep, self.text.positive)
        if self.scale > 1:
            assert self.text.negative is not None, "guidance needs the negative prompt's embeddings"
            unconditional = self.backbone.denoise(latents, timestep, self.text.negative)
            prediction = unconditional + self.scale * (prediction - unconditional)
        return self.scheduler.step(prediction, timestep, latents, return_dict=False)[0]

    def run(
        self,
        latents: Tensor,
        *,
        start: int = 0,
        before_step: Callable[[int, Tensor, Tensor], None] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Take all steps from ``start`` on; ``before_step`` gets the step's index, timestep and latents."""
        total = len(self.timesteps)
        for index in range(start, total):
            if before_step is not None:
                before_step(index, self.timesteps[index], latents)
            latents = self.step(index, latents)
            if progress is not None:
                progress("sample", index + 1 - start, total - start, None)
        return latents
