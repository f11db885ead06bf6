"""One denoising loop for every backbone, around the pipeline's own scheduler."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
        config: Steps and guidance.
        seed: That of the initial latents; matters where steps draw noise (CogVideoX's DPM scheduler).
    """

    def __init__(self, backbone: Backbone, text: TextEmbeddings, config: SamplerConfig, seed: int = 0) -> None:
        self.backbone, self.text, self.config = backbone, text, config
        self.solver = backbone.solver(config.steps, seed)
        self.timesteps: Tensor = self.solver.timesteps

    @torch.no_grad()
    def step(self, index: int, latents: Tensor, watch: AbstractContextManager[object] | None = None) -> Tensor:
        """Latents before step ``index`` -> after it; the forward that reads the prompt runs within ``watch``."""
        timestep, watch = self.timesteps[index], watch or nullcontext()
        if self.config.guidance_scale > 1:
            positive, negative = self._both(latents, timestep, watch)
            prediction = negative + self._scale(timestep) * (positive - negative)
        else:
            with watch:
                prediction = self.backbone.denoise(latents, timestep, self.text.positive)
        return self.solver.step(prediction, timestep, latents)

    def _both(self, latents: Tensor, timestep: Tensor, watch: AbstractContextManager[object]) -> tuple[Tensor, Tensor]:
        """Predictions with the prompt and with the negative prompt."""
        positive, negative, denoise = self.text.positive, self.text.negative, self.backbone.denoise
        assert negative is not None, "guidance needs the negative prompt's embeddings"
        if self.backbone.batched_guidance:
            both = torch.cat([negative, positive])
            with watch:
                first, second = denoise(latents.repeat(2, 1, 1, 1, 1), timestep, both).chunk(2)
            return second, first
        with watch:
            prediction = denoise(latents, timestep, positive)
        return prediction, denoise(latents, timestep, negative)

    def _scale(self, timestep: Tensor) -> float:
        if not self.config.dynamic_guidance:
            return self.config.guidance_scale
        # As CogVideoXPipeline has it: timesteps count from num_train_timesteps, not from the number of steps.
        steps = self.config.steps
        ramp = (1 - math.cos(math.pi * ((steps - timestep.item()) / steps) ** 5.0)) / 2
        return 1 + self.config.guidance_scale * ramp

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
