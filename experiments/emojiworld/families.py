"""What differs between the checkpoints of the two model families: parts, latents, text, and the training loss.

Latents are ``(B, C, F, H/4, W/4)`` here, whatever order of axes the family's own transformer expects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline, WanPipeline
from torch import Tensor, nn
from torch.nn import functional

from experiments.emojiworld import models, whole_clip
from experiments.emojiworld.rotary import use_fast_joint_rotary, use_fast_rotary
from ttom.emojiworld.scene import HEIGHT, WIDTH


@dataclass(frozen=True)
class Family:
    """A model family as training and export need it.

    Attributes:
        pipeline: The stock pipeline's class.
        build_vae, build_transformer, build_scheduler: Fresh parts.
        build_text_encoder: The same, for a tokenizer.
        prepare_vae: Makes a VAE ready for `encode` and `decode`; returns it.
        encode: (VAE, video in -1..1) -> mean and log variance of the latents, not normalized.
        decode: (VAE, such latents) -> video, not clamped.
        normalization: Latents as `encode` gives them -> the entries of the VAE's configuration that normalize them.
        normalized_by: Names of these entries.
        statistics: Such a configuration -> (mean, deviation), each a number or one a channel.
        embed: (text encoder, token ids ``(B, 64)``, length) -> ``(B, length, D)`` as the stock pipeline has it.
        prepare_transformer: What makes training faster without changing what it computes.
        loss: (transformer, normalized latents, text, noise shift) -> number.
        noise_shift: What training takes unless told otherwise; above 1: high noise levels are more frequent.
        blocks: Name of the transformer's list of blocks.
        text_length: The stock pipeline's default.
    """

    pipeline: Any
    build_vae: Callable[[], nn.Module]
    build_transformer: Callable[[], nn.Module]
    build_scheduler: Callable[[], Any]
    build_text_encoder: Callable[[Any], nn.Module]
    prepare_vae: Callable[[Any], nn.Module]
    encode: Callable[[Any, Tensor], tuple[Tensor, Tensor]]
    decode: Callable[[Any, Tensor], Tensor]
    normalization: Callable[[Tensor], dict[str, Any]]
    normalized_by: tuple[str, ...]
    statistics: Callable[[dict[str, Any]], tuple[Any, Any]]
    embed: Callable[[nn.Module, Tensor, int], Tensor]
    prepare_transformer: Callable[[nn.Module], None]
    loss: Callable[[nn.Module, Tensor, Tensor, float], Tensor]
    noise_shift: float
    blocks: str
    text_length: int


def _shifted(u: Tensor, shift: float) -> Tensor:
    """Noise levels 0..1, moved towards 1 by a shift above 1."""
    return shift * u / (1 + (shift - 1) * u)


def _wan_normalization(latents: Tensor) -> dict[str, Any]:
    mean, std = (f((0, 2, 3, 4)) for f in (latents.mean, latents.std))
    return {"latents_mean": mean.tolist(), "latents_std": std.tolist()}


def _wan_statistics(config: dict[str, Any]) -> tuple[list[float], list[float]]:
    return config["latents_mean"], config["latents_std"]


def _wan_embed(text_encoder: nn.Module, tokens: Tensor, length: int) -> Tensor:
    """Padding is masked, and zero afterwards."""
    mask = tokens > 0
    text = text_encoder(tokens, mask.long()).last_hidden_state * mask[..., None]
    return functional.pad(text, (0, 0, 0, length - text.shape[1]))


def _wan_loss(transformer: nn.Module, latents: Tensor, text: Tensor, shift: float) -> Tensor:
    """Flow matching: the transformer predicts noise - latents at a random noise level."""
    sigma = _shifted(torch.sigmoid(torch.randn(len(latents), device=latents.device) * 1.2), shift)
    s = sigma.view(-1, 1, 1, 1, 1)
    noise = torch.randn_like(latents)
    predicted = transformer((1 - s) * latents + s * noise, sigma * 1000, text, return_dict=False)[0]
    return functional.mse_loss(predicted.float(), noise - latents)


def _cogvideox_encode(vae: Any, video: Tensor) -> tuple[Tensor, Tensor]:
    posterior = vae.encode(video).latent_dist
    return posterior.mean, posterior.logvar


def _cogvideox_decode(vae: Any, latents: Tensor) -> Tensor:
    return vae.decode(latents).sample


def _cogvideox_normalization(latents: Tensor) -> dict[str, Any]:
    """One factor for all channels: the stock pipeline knows no more."""
    return {"scaling_factor": 1 / latents.std().item()}


def _cogvideox_statistics(config: dict[str, Any]) -> tuple[float, float]:
    return 0.0, 1 / config["scaling_factor"]


def _cogvideox_embed(text_encoder: nn.Module, tokens: Tensor, length: int) -> Tensor:
    """Padding is read like any other token."""
    return text_encoder(functional.pad(tokens, (0, length - tokens.shape[1]))).last_hidden_state


@cache
def _cogvideox_noise() -> CogVideoXDDIMScheduler:
    return models.build_cogvideox_scheduler()


def cogvideox_rotary(transformer: nn.Module, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions of so many latent frames, by the stock pipeline's own code."""
    pipeline: Any = SimpleNamespace(transformer=transformer, vae_scale_factor_spatial=4)
    return CogVideoXPipeline._prepare_rotary_positional_embeddings(pipeline, HEIGHT, WIDTH, frames, device)


def _cogvideox_loss(transformer: nn.Module, latents: Tensor, text: Tensor, shift: float) -> Tensor:
    """v-prediction at a random timestep. Sampling visits all timesteps alike, the noisiest first of all."""
    latents = latents.transpose(1, 2)
    noise, scheduler = torch.randn_like(latents), _cogvideox_noise()
    level = _shifted(torch.rand(len(latents), device=latents.device), shift)
    timestep = (level * scheduler.config.num_train_timesteps).long().clamp_max(scheduler.config.num_train_timesteps - 1)
    predicted = transformer(
        scheduler.add_noise(latents, noise, timestep),
        text,
        timestep,
        image_rotary_emb=cogvideox_rotary(transformer, latents.shape[1], latents.device),
        return_dict=False,
    )[0]
    return functional.mse_loss(predicted.float(), scheduler.get_velocity(latents, noise, timestep))


FAMILIES = {
    "wan": Family(
        pipeline=WanPipeline,
        build_vae=models.build_vae,
        build_transformer=models.build_transformer,
        build_scheduler=models.build_scheduler,
        build_text_encoder=models.build_text_encoder,
        prepare_vae=whole_clip.use_whole_clips,
        encode=whole_clip.encode,
        decode=whole_clip.decode,
        normalization=_wan_normalization,
        normalized_by=("latents_mean", "latents_std"),
        statistics=_wan_statistics,
        embed=_wan_embed,
        prepare_transformer=use_fast_rotary,
        loss=_wan_loss,
        noise_shift=4.0,
        blocks="blocks",
        text_length=512,
    ),
    "cogvideox": Family(
        pipeline=CogVideoXPipeline,
        build_vae=models.build_cogvideox_vae,
        build_transformer=models.build_cogvideox_transformer,
        build_scheduler=models.build_cogvideox_scheduler,
        build_text_encoder=models.build_cogvideox_text_encoder,
        prepare_vae=lambda vae: vae,  # its norms see the parts that clips are taken in, so training takes the same
        encode=_cogvideox_encode,
        decode=_cogvideox_decode,
        normalization=_cogvideox_normalization,
        normalized_by=("scaling_factor",),
        statistics=_cogvideox_statistics,
        embed=_cogvideox_embed,
        prepare_transformer=use_fast_joint_rotary,
        loss=_cogvideox_loss,
        noise_shift=2.0,
        blocks="transformer_blocks",
        text_length=226,
    ),
}
"""By the name that --family takes."""
