"""One denoising loop for every backbone, around the pipeline's own scheduler."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal, cast

import torch
from diffusers import FirstBlockCacheConfig
from torch import Tensor

from ttom.backbones.protocol import Backbone
from ttom.config import SamplerConfig
from ttom.errors import UserError
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
        batched = config.batched_guidance
        self._batched = backbone.batched_guidance if batched is None else batched
        self._caching = False

    @torch.no_grad()
    def step(self, index: int, latents: Tensor, watch: AbstractContextManager[object] | None = None) -> Tensor:
        """Latents before step ``index`` -> after it; the forward that reads the prompt runs within ``watch``."""
        timestep, watch = self.timesteps[index], watch or nullcontext()
        if self.config.guidance_scale > 1:
            positive, negative = self._both(latents, timestep, watch)
            prediction = negative + self._scale(timestep) * (positive - negative)
        else:
            with watch:
                prediction = self._denoise("cond", latents, timestep, self.text.positive)
        return self.solver.step(prediction, timestep, latents)

    def _both(self, latents: Tensor, timestep: Tensor, watch: AbstractContextManager[object]) -> tuple[Tensor, Tensor]:
        """Predictions with the prompt and with the negative prompt."""
        positive, negative, denoise = self.text.positive, self.text.negative, self._denoise
        assert negative is not None, "guidance needs the negative prompt's embeddings"
        if self._batched:
            twice, both = latents.repeat(2, 1, 1, 1, 1), torch.cat([negative, positive])
            with watch:
                first, second = denoise("cond_uncond", twice, timestep, both).chunk(2)
            return second, first
        with watch:
            prediction = denoise("cond", latents, timestep, positive)
        return prediction, denoise("uncond", latents, timestep, negative)

    def _denoise(self, branch: str, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """A forward; a cache keeps what it has seen for each branch."""
        transformer: Any = self.backbone.transformer
        with transformer.cache_context(branch) if self._caching else nullcontext():
            return self.backbone.denoise(latents, timestep, text)

    @contextmanager
    def _cached(self) -> Iterator[None]:
        """Within it forwards may skip blocks, if the settings say so."""
        threshold, transformer = self.config.cache_threshold, cast(Any, self.backbone.transformer)
        if threshold is None:
            yield
            return
        if not hasattr(transformer, "enable_cache"):
            raise UserError(
                f"`sampler.cache_threshold` is {threshold}, but a {type(transformer).__name__} has no caches",
                remedy="leave `sampler.cache_threshold` out",
            )
        transformer.enable_cache(FirstBlockCacheConfig(threshold))
        try:
            self._caching = True
            yield
        finally:
            self._caching = False
            transformer.disable_cache()

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
        cache_from: int = 0,
        before_step: Callable[[int, Tensor, Tensor], None] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Take all steps from ``start`` on; ``before_step`` gets the step's index, timestep and latents.

        Steps before ``cache_from`` are computed in full whatever config.cache_threshold says.
        """
        total = len(self.timesteps)
        with ExitStack() as cache:
            for index in range(start, total):
                if index == max(start, cache_from):
                    cache.enter_context(self._cached())
                if before_step is not None:
                    before_step(index, self.timesteps[index], latents)
                latents = self.step(index, latents)
                if progress is not None:
                    progress("sample", index + 1 - start, total - start, None)
        return latents
