"""The Wan VAE on whole clips at once.

diffusers' AutoencoderKLWan encodes and decodes in chunks of four frames with a cache, which costs many small kernels.
All of its convolutions are causal, so the same numbers come from one pass over the clip, if the two temporal
resamplers treat the first frame apart as the chunked code does. Used for training; a test holds it equal to stock.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample
from torch import Tensor


def _resample_whole(self: WanResample, x: Tensor, feat_cache: object = None, feat_idx: object = None) -> Tensor:
    batch, channels, _, height, width = x.shape
    if self.mode == "upsample3d" and x.shape[2] > 1:
        rest = self.time_conv(x[:, :, 1:])
        rest = rest.unflatten(1, (2, channels)).movedim(1, 3).reshape(batch, channels, -1, height, width)
        x = torch.cat([x[:, :, :1], rest], 2)
    x = self.resample(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, -1)).transpose(1, 2)
    if self.mode == "downsample3d" and x.shape[2] > 1:
        x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
    return x


def use_whole_clips(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Make vae.encoder and vae.decoder take whole clips (4k+1 frames); stock encode and decode stop working."""
    for module in vae.modules():
        if isinstance(module, WanResample):
            module.forward = _resample_whole.__get__(module)
    return vae


def encode(vae: AutoencoderKLWan, video: Tensor) -> tuple[Tensor, Tensor]:
    """Video ``(B, 3, 4k+1, H, W)`` in -1..1 -> mean and log variance of the latents ``(B, C, k+1, H/4, W/4)``."""
    mean, log_variance = vae.quant_conv(vae.encoder(video)).chunk(2, 1)
    return mean, log_variance.clamp(-30, 20)


def decode(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Latents (as `encode` gives them, not normalized) -> video, not clamped."""
    return vae.decoder(vae.post_quant_conv(latents), first_chunk=True)
