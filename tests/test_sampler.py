"""The loop against the stock pipeline's own call: equal to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

from ttom.backbones.wan import WanBackbone
from ttom.config import SamplerConfig
from ttom.sampler import Sampler
from ttom.types import VideoSize

PROMPT = "two  dogs &amp; a red balloon"
SIZE = VideoSize(9, 32, 48)


@pytest.mark.parametrize("guidance", [4.0, 1.0])
@pytest.mark.parametrize("euler", [False, True])
def test_latents_equal_the_stock_pipelines(tiny: WanBackbone, tiny_folder: Path, guidance: float, euler: bool) -> None:
    stock = WanPipeline.from_pretrained(tiny_folder)
    stock.set_progress_bar_config(disable=True)
    if euler:
        tiny.pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
        stock.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    theirs = stock(
        PROMPT, "a blue bus", height=32, width=48, num_frames=9, num_inference_steps=6, guidance_scale=guidance,
        max_sequence_length=16, output_type="latent", generator=torch.Generator("cpu").manual_seed(7),
    ).frames  # fmt: skip
    config = SamplerConfig(steps=6, guidance_scale=guidance, frames=9, height=32, width=48, max_sequence_length=16)
    text = tiny.encode_prompt(PROMPT, "a blue bus", guidance=guidance > 1, max_sequence_length=16)
    for _ in range(2):  # a second run meets no state of the first
        ours = Sampler(tiny, text, config).run(tiny.initial_latents(SIZE, 7))
        assert ours.dtype == theirs.dtype == torch.float32
        assert (ours - theirs).abs().max().item() == 0.0


def test_decode_equals_the_stock_pipelines_frames(tiny: WanBackbone, tiny_folder: Path) -> None:
    stock = WanPipeline.from_pretrained(tiny_folder)
    stock.set_progress_bar_config(disable=True)
    latents = tiny.initial_latents(SIZE, 3)
    shared = dict(height=32, width=48, num_frames=9, num_inference_steps=2, max_sequence_length=16, latents=latents)
    frames = torch.from_numpy(stock("a dog", output_type="np", **shared).frames[0])
    video = tiny.decode(stock("a dog", output_type="latent", **shared).frames)
    assert video.shape == (9, 32, 48, 3) and video.dtype == torch.uint8
    assert torch.equal(video, (frames * 255).round().to(torch.uint8))
    assert video.float().std() > 0


def test_hook_runs_before_each_step_and_progress_after(tiny: WanBackbone) -> None:
    config = SamplerConfig(steps=3, guidance_scale=1.0, frames=5, height=16, width=16, max_sequence_length=8)
    text = tiny.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    noise = tiny.initial_latents(VideoSize(5, 16, 16), 0)
    seen: list[tuple] = []
    Sampler(tiny, text, config).run(
        noise,
        before_step=lambda i, t, x: seen.append(("step", i, float(t), torch.equal(x, noise))),
        progress=lambda *args: seen.append(args),
    )
    assert [s[:2] for s in seen[::2]] == [("step", 0), ("step", 1), ("step", 2)]
    assert [s[3] for s in seen[::2]] == [True, False, False]
    assert seen[0][2] > seen[2][2] > seen[4][2]
    assert seen[1::2] == [("sample", 1, 3, None), ("sample", 2, 3, None), ("sample", 3, 3, None)]


def test_the_pipelines_scheduler_is_left_alone(tiny: WanBackbone) -> None:
    before = dict(vars(tiny.pipe.scheduler))
    config = SamplerConfig(steps=3, guidance_scale=1.0, frames=5, height=16, width=16, max_sequence_length=8)
    text = tiny.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    Sampler(tiny, text, config).run(tiny.initial_latents(VideoSize(5, 16, 16), 0))
    assert vars(tiny.pipe.scheduler).keys() == before.keys()
    assert all(vars(tiny.pipe.scheduler)[key] is value for key, value in before.items())
