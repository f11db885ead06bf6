"""The VAE on whole clips against diffusers' chunked code."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import AutoencoderKLWan

from experiments.emojiworld import whole_clip
from experiments.emojiworld.models import build_vae


@pytest.fixture(scope="module")
def vaes() -> tuple[AutoencoderKLWan, AutoencoderKLWan]:
    """A VAE with random weights as stock, and a copy for whole clips."""
    torch.manual_seed(0)
    stock = build_vae().eval()
    return stock, whole_clip.use_whole_clips(copy.deepcopy(stock))


@pytest.mark.parametrize("frames", [1, 5, 17])
@torch.no_grad()
def test_whole_clips_equal_the_chunked_code(vaes: tuple[AutoencoderKLWan, AutoencoderKLWan], frames: int) -> None:
    stock, whole = vaes
    video = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    posterior = stock.encode(video).latent_dist
    mean, log_variance = whole_clip.encode(whole, video)
    assert mean.shape == (1, 16, (frames - 1) // 4 + 1, 4, 6)
    torch.testing.assert_close(mean, posterior.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_variance, posterior.logvar, rtol=1e-4, atol=1e-5)
    assert mean.std() > 0.01
    decoded = whole_clip.decode(whole, mean)
    assert decoded.shape == video.shape
    torch.testing.assert_close(decoded.clamp(-1, 1), stock.decode(mean).sample, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_whole_clips_are_causal(vaes: tuple[AutoencoderKLWan, AutoencoderKLWan]) -> None:
    """The comparison above would not notice a mistake that both share; the first latent sees the first frame only."""
    _, whole = vaes
    video = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    changed = video.clone()
    changed[:, :, 5:] = 0
    before, after = (whole_clip.encode(whole, clip)[0] for clip in (video, changed))
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2])
    assert (before[:, :, 2] - after[:, :, 2]).abs().max() > 1e-3
