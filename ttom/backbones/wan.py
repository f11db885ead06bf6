"""Wan 2.1 text-to-video (diffusers ``WanPipeline``) behind the backbone protocol.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from transformers import UMT5EncoderModel

from ttom.attention.wan import CaptureProcessor, Processor
from ttom.backbones.base import PipelineBackbone, check_frames, check_sides, to_frames
from ttom.errors import UserError
from ttom.types import TokenGrid, VideoSize


class WanSolver:
    """See ``Solver``."""

    def __init__(self, scheduler: Any, steps: int, device: torch.device, flow_shift: float | None = None) -> None:
        self.scheduler = copy.deepcopy(scheduler) if flow_shift is None else _shifted(scheduler, flow_shift)
        self.scheduler.set_timesteps(steps, device=device)
        self.scheduler.set_begin_index(0)
        self.timesteps: Tensor = self.scheduler.timesteps

    @property
    def noise_levels(self) -> list[float]:
        return (self.timesteps / self.scheduler.config.num_train_timesteps).tolist()

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        return self.scheduler.step(prediction, timestep, latents, return_dict=False)[0]


def _shifted(scheduler: Any, flow_shift: float) -> Any:
    """A new scheduler like this one, with another flow shift."""
    name = next((name for name in ("flow_shift", "shift") if name in scheduler.config), None)
    if name is None:
        raise UserError(
            f"`sampler.flow_shift` is {flow_shift}, but a {type(scheduler).__name__} has none",
            remedy="leave `sampler.flow_shift` out",
        )
    return type(scheduler).from_config(scheduler.config, **{name: flow_shift})


class WanBackbone(PipelineBackbone):
    """See ``Backbone``. Holds a stock ``WanPipeline``; latents are ``(1, C, F, H, W)`` in float32.

    Raises:
        UserError: A Wan 2.2 pipeline (two transformers, or one timestep per token), which needs another sampling loop.
    """

    text_encoder = UMT5EncoderModel
    pipeline = "WanPipeline"
    attention = "blocks.{}.attn2"
    self_attention = "attn1"
    reader = CaptureProcessor
    biaser = Processor

    def __init__(self, name: str, pipe: Any) -> None:
        if pipe.config.expand_timesteps or pipe.transformer_2 is not None:
            raise UserError(
                f"{name!r} is a Wan 2.2 pipeline", expected="a Wan 2.1 text-to-video pipeline with one transformer"
            )
        super().__init__(name, pipe)

    @property
    def temporal_compression(self) -> int:
        return self.pipe.vae_scale_factor_temporal

    def check_size(self, size: VideoSize) -> None:
        check_frames(size.frames, self.temporal_compression)
        _, rows, columns = self.pipe.transformer.config.patch_size
        # 16: the stock pipeline's own check
        check_sides(size, *(math.lcm(16, self.pipe.vae_scale_factor_spatial * patch) for patch in (rows, columns)))
        grid, reach = self.token_grid(size), self.pipe.transformer.config.rope_max_seq_len
        if max(grid.frames, grid.height, grid.width) > reach:
            raise UserError(
                f"{size.frames} frames of {size.width} x {size.height} pixels are {grid.frames} latent frames of "
                f"{grid.width} x {grid.height} tokens",
                expected=f"at most {reach} of each, the reach of this model's position embeddings",
                remedy="fewer `sampler.frames`, or a smaller `sampler.width` and `sampler.height`",
            )

    def token_grid(self, size: VideoSize) -> TokenGrid:
        frames = (size.frames - 1) // self.temporal_compression + 1
        side = self.pipe.vae_scale_factor_spatial
        return self._patched((frames, size.height // side, size.width // side))

    def _grid(self, latents: Tensor) -> TokenGrid:
        return self._patched(tuple(latents.shape[2:]))

    def _patched(self, latent_shape: tuple[int, ...]) -> TokenGrid:
        patch = self.pipe.transformer.config.patch_size
        return TokenGrid(*(n // p for n, p in zip(latent_shape, patch, strict=True)))

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        return self.pipe.prepare_latents(
            1,
            self.pipe.transformer.config.in_channels,
            size.height,
            size.width,
            size.frames,
            torch.float32,
            self.device,
            torch.Generator("cpu").manual_seed(seed),
        )

    def solver(self, steps: int, seed: int, flow_shift: float | None = None) -> WanSolver:
        return WanSolver(self.pipe.scheduler, steps, self.device, flow_shift)  # its steps draw no noise

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        return self.pipe.transformer(
            hidden_states=latents.to(self.dtype),
            timestep=timestep.expand(latents.shape[0]),
            encoder_hidden_states=text,
            return_dict=False,
        )[0]

    def _fused(self) -> bool:
        return any(getattr(block.attn2, "fused_projections", False) for block in self.pipe.transformer.blocks)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        with self._decoder() as vae:
            latents = latents.to(vae.device, vae.dtype)
            mean, std = (
                torch.tensor(values).view(1, -1, 1, 1, 1).to(latents)
                for values in (vae.config.latents_mean, vae.config.latents_std)
            )
            return to_frames(self.pipe, vae.decode(latents / (1.0 / std) + mean, return_dict=False)[0])
