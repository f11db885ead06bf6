"""CogVideoX text-to-video (diffusers ``CogVideoXPipeline``: 2B, 5B and 1.5) behind the backbone protocol.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from diffusers.models.attention_processor import FusedCogVideoXAttnProcessor2_0
from torch import Tensor
from transformers import T5EncoderModel

from ttom.attention.cogvideox import CaptureProcessor, Processor
from ttom.backbones.base import PipelineBackbone, check_frames, check_sides, to_frames
from ttom.errors import UserError
from ttom.types import TextEmbeddings, TokenGrid, VideoSize


class CogVideoXSolver:
    """See ``Solver``. Supports CogVideoX's DDIM, and its DPM, whose steps draw noise.

    Raises:
        UserError: The pipeline has another scheduler, which the stock pipeline does not support either.
    """

    def __init__(self, scheduler: Any, steps: int, seed: int, device: torch.device) -> None:
        if not isinstance(scheduler, CogVideoXDDIMScheduler | CogVideoXDPMScheduler):
            raise UserError(
                f"the pipeline's scheduler is a {type(scheduler).__name__}",
                expected="a CogVideoXDDIMScheduler or a CogVideoXDPMScheduler",
            )
        self.scheduler: Any = copy.deepcopy(scheduler)
        self.scheduler.set_timesteps(steps, device=device)
        self.timesteps: Tensor = self.scheduler.timesteps
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._last: tuple[Tensor | None, Tensor | None] = (None, None)
        """Timestep of the previous step, and the clean latents that it predicted."""

    @property
    def noise_levels(self) -> list[float]:
        kept = self.scheduler.alphas_cumprod[self.timesteps.cpu().long()]
        signal, noise = kept.sqrt(), (1 - kept).sqrt()
        return (noise / (noise + signal)).tolist()

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        if isinstance(self.scheduler, CogVideoXDDIMScheduler):
            after = self.scheduler.step(prediction, timestep, latents, return_dict=False)[0]
            return after.to(latents.dtype)
        if self._last[0] is None:
            # The stock pipeline draws this noise from the generator that drew the initial latents: skip these.
            torch.randn(latents.shape, generator=self._generator, dtype=latents.dtype)
        before, clean_before = self._last
        after, clean = self.scheduler.step(
            prediction, clean_before, timestep, before, latents, generator=self._generator, return_dict=False
        )
        self._last = timestep, clean
        return after.to(latents.dtype)


class CogVideoXBackbone(PipelineBackbone):
    """See ``Backbone``. Holds a stock ``CogVideoXPipeline``; latents are ``(1, F, C, H, W)`` in the model's precision.

    CogVideoX 1.5 joins latent frames in pairs. Its pipeline prepends one latent frame to complete the first pair, and
    drops it before decoding. So a token frame is 8 picture frames, except for the first, which is one.
    """

    batched_guidance = True
    vae_in_float32 = False  # its authors run it like the rest, which halves the memory that decoding takes
    text_encoder = T5EncoderModel
    pipeline = "CogVideoXPipeline"
    attention = "transformer_blocks.{}.attn1"
    reader = CaptureProcessor
    biaser = Processor

    @property
    def _joined(self) -> int:
        """Latent frames per token."""
        return self.pipe.transformer.config.patch_size_t or 1

    @property
    def _side(self) -> int:
        """Pixels per row or column of tokens."""
        return self.pipe.vae_scale_factor_spatial * self.pipe.transformer.config.patch_size

    @property
    def temporal_compression(self) -> int:
        return self.pipe.vae_scale_factor_temporal * self._joined

    def check_size(self, size: VideoSize) -> None:
        # The VAE decodes latent frames in pairs, the first three together; of an even number it makes 4 pictures each.
        pairs = math.lcm(self.pipe.vae.num_latent_frames_batch_size, self._joined)
        check_frames(size.frames, self.pipe.vae_scale_factor_temporal * pairs)
        multiple = math.lcm(8, self._side)  # 8: the stock pipeline's own check
        check_sides(size, multiple, multiple)
        config = self.pipe.transformer.config
        if config.use_rotary_positional_embeddings and config.patch_size_t is not None:
            grid = self.token_grid(size)
            rows, columns = config.sample_height // config.patch_size, config.sample_width // config.patch_size
            if grid.height > rows or grid.width > columns:
                raise UserError(
                    f"{size.width} x {size.height} pixels are {grid.width} x {grid.height} tokens",
                    expected=f"at most {columns} x {rows}, the reach of this model's position embeddings",
                    remedy=f"`sampler.width` up to {columns * self._side}, `sampler.height` up to {rows * self._side}",
                )

    def token_grid(self, size: VideoSize) -> TokenGrid:
        frames = (size.frames - 1) // self.temporal_compression + 1
        return TokenGrid(frames, size.height // self._side, size.width // self._side)

    def _grid(self, latents: Tensor) -> TokenGrid:
        frames, _, height, width = latents.shape[1:]
        patch = self.pipe.transformer.config.patch_size
        return TokenGrid(frames // self._joined, height // patch, width // patch)

    def encode_prompt(
        self, prompt: str, negative_prompt: str, *, guidance: bool, max_sequence_length: int
    ) -> TextEmbeddings:
        config = self.pipe.transformer.config
        if not config.use_rotary_positional_embeddings and max_sequence_length != config.max_text_seq_length:
            raise UserError(
                f"`sampler.max_sequence_length` is {max_sequence_length}",
                expected=f"{config.max_text_seq_length}, the only text length with position embeddings",
            )
        return super().encode_prompt(
            prompt, negative_prompt, guidance=guidance, max_sequence_length=max_sequence_length
        )

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        added = (self._joined - 1) * self.pipe.vae_scale_factor_temporal
        return self.pipe.prepare_latents(
            1,
            self.pipe.transformer.config.in_channels,
            size.frames + added,
            size.height,
            size.width,
            self.dtype,
            self.device,
            torch.Generator("cpu").manual_seed(seed),
        )

    def solver(self, steps: int, seed: int, flow_shift: float | None = None) -> CogVideoXSolver:
        if flow_shift is not None:
            raise UserError(
                f"`sampler.flow_shift` is {flow_shift}, but CogVideoX is not a flow model",
                remedy="leave `sampler.flow_shift` out",
            )
        return CogVideoXSolver(self.pipe.scheduler, steps, seed, self.device)

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        prediction = self.pipe.transformer(
            hidden_states=latents.to(self.dtype),
            encoder_hidden_states=text,
            timestep=timestep.expand(latents.shape[0]),
            image_rotary_emb=self._rotary(latents),
            return_dict=False,
        )[0]
        return prediction.float()  # guidance and scheduler work in float32, as in the stock pipeline

    def _rotary(self, latents: Tensor) -> tuple[Tensor, Tensor] | None:
        if not self.pipe.transformer.config.use_rotary_positional_embeddings:
            return None
        height, width = (side * self.pipe.vae_scale_factor_spatial for side in latents.shape[3:])
        return self.pipe._prepare_rotary_positional_embeddings(height, width, latents.shape[1], self.device)

    def _fused(self) -> bool:
        blocks = self.pipe.transformer.transformer_blocks
        return any(isinstance(block.attn1.processor, FusedCogVideoXAttnProcessor2_0) for block in blocks)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        kept = latents[:, self._joined - 1 :]
        with self._decoder() as vae:
            return to_frames(self.pipe, self.pipe.decode_latents(kept.to(vae.device, vae.dtype)))
