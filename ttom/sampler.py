"""One denoising loop for every backbone, around the pipeline's own scheduler."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import FirstBlockCacheConfig
from torch import Tensor

from ttom.backbones.protocol import Backbone
from ttom.config import SamplerConfig
from ttom.errors import UserError
from ttom.guidance.protocol import Outcome, Part, Step
from ttom.types import Progress, TextEmbeddings, no_progress


@dataclass(frozen=True)
class Sampled:
    """What the loop hands back.

    Attributes:
        latents: After the last step that was taken.
        outcome: What the parts left behind.
        seconds_optimize: Wall time of the steps that parts optimized in, denoising included.
        seconds_sample: Wall time of the other steps.
    """

    latents: Tensor
    outcome: Outcome
    seconds_optimize: float
    seconds_sample: float


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
        self.solver = backbone.solver(config.steps, seed, config.flow_shift)
        self.timesteps: Tensor = self.solver.timesteps
        batched = config.batched_guidance
        self._batched = backbone.batched_guidance if batched is None else batched
        self._caching = False

    @torch.no_grad()
    def step(
        self,
        index: int,
        latents: Tensor,
        watch: AbstractContextManager[object] | None = None,
        against: tuple[float, AbstractContextManager[object]] | None = None,
    ) -> Tensor:
        """Latents before step ``index`` -> after it.

        Args:
            watch: The forward that reads the prompt runs within it.
            against: A weight and another context: what ``watch`` changes against that one is added with the weight.
        """
        timestep, watch = self.timesteps[index], watch or nullcontext()
        if self.config.guidance_scale > 1:
            positive, negative = self._both(latents, timestep, watch)
            prediction = negative + self._scale(timestep) * (positive - negative)
        else:
            with watch:
                prediction = positive = self._denoise("cond", latents, timestep, self.text.positive)
        if against is not None:
            weight, other = against
            with other:
                prediction = prediction + weight * (
                    positive - self._denoise("against", latents, timestep, self.text.positive)
                )
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
        parts: Sequence[Part] = (),
        *,
        progress: Progress = no_progress,
        finish: bool = True,
    ) -> Sampled:
        """Take the steps, each with the parts that act before it and inside it.

        Args:
            latents: Noise (``Backbone.initial_latents``).
            parts: Of the guidance method, in the order in which they act; none for the plain model.
            progress: Told about each step after those that parts optimize in; these parts tell about themselves.
            finish: Take all steps; otherwise only those in which parts optimize, or act if none does.
        """
        acting = max((part.steps for part in parts), default=0)
        optimizing = max((part.steps for part in parts if part.stage == "optimize"), default=0)
        total, begin = len(self.timesteps), time.perf_counter()
        optimized = begin
        with ExitStack() as running:
            for part in parts:
                running.enter_context(part)
            for index in range(total if finish else optimizing or acting):
                if index == acting:  # until then every step is computed in full, whatever config.cache_threshold says
                    running.enter_context(self._cached())
                latents = self._guided_step(index, latents, parts, progress)
                if index >= optimizing:
                    progress("sample", index + 1 - optimizing, total - optimizing, None)
                elif index == optimizing - 1:
                    optimized = time.perf_counter()
            outcome = Outcome()
            for part in parts:
                outcome = outcome | part.outcome()
        return Sampled(latents, outcome, optimized - begin, time.perf_counter() - optimized)

    def _guided_step(self, index: int, latents: Tensor, parts: Sequence[Part], progress: Progress) -> Tensor:
        for i, part in enumerate(parts):
            step = Step(index, self.timesteps[index], latents, progress)
            with _inside(parts[:i], step):
                latents = part.before(step)
        step = Step(index, self.timesteps[index], latents, progress)
        weights = [part.emphasis(step) for part in parts]
        others = [part for part, weight in zip(parts, weights, strict=True) if weight == 0]
        against = (max(weights), _inside(others, step)) if len(others) < len(parts) else None
        return self.step(index, latents, _inside(parts, step), against)


@contextmanager
def _inside(parts: Sequence[Part], step: Step) -> Iterator[None]:
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part.inside(step))
        yield
