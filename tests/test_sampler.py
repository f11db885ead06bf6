"""The loop against the stock pipeline's own call: equal to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.wan import WanBackbone
from ttom.config import SamplerConfig
from ttom.errors import UserError
from ttom.guidance import Outcome, Part, Step
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
        ours = Sampler(tiny, text, config).run(tiny.initial_latents(SIZE, 7)).latents
        assert ours.dtype == theirs.dtype == torch.float32
        assert (ours - theirs).abs().max().item() == 0.0


@pytest.mark.parametrize("euler", [False, True])
def test_another_flow_shift_is_that_of_the_scheduler(tiny: WanBackbone, euler: bool) -> None:
    """As if the scheduler had been made with it; the pipeline's own keeps its shift."""
    if euler:
        tiny.pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    name = "shift" if euler else "flow_shift"
    made = type(tiny.pipe.scheduler).from_config(tiny.pipe.scheduler.config, **{name: 5.0})
    made.set_timesteps(8)
    config = SamplerConfig(steps=8, guidance_scale=1.0, flow_shift=5.0)
    text = tiny.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    sampler = Sampler(tiny, text, config)
    assert torch.equal(sampler.timesteps, made.timesteps)
    plain = Sampler(tiny, text, SamplerConfig(steps=8, guidance_scale=1.0))
    assert not torch.equal(plain.timesteps, made.timesteps) and tiny.pipe.scheduler.config[name] == 3.0


def test_a_model_without_a_flow_shift_refuses_one(cogvideox: CogVideoXBackbone) -> None:
    with pytest.raises(UserError, match="`sampler.flow_shift` is 5.0"):
        cogvideox.solver(4, 0, 5.0)


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


class Recorder(Part):
    """Notes what the loop does with it."""

    def __init__(self, steps: int, seen: list[tuple], noise: torch.Tensor) -> None:
        self.steps, self._seen, self._noise = steps, seen, noise

    def __enter__(self) -> Recorder:
        self._seen.append(("enter",))
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.append(("exit",))

    def before(self, step: Step) -> torch.Tensor:
        self._seen.append(("before", step.index, float(step.timestep), torch.equal(step.latents, self._noise)))
        return step.latents

    @contextmanager
    def inside(self, step: Step) -> Iterator[None]:
        self._seen.append(("inside", step.index))
        yield

    def outcome(self) -> Outcome:
        self._seen.append(("outcome",))
        return Outcome(losses=[[1.0]])


@pytest.mark.parametrize("finish", [True, False])
def test_parts_act_before_and_inside_each_step(tiny: WanBackbone, finish: bool) -> None:
    config = SamplerConfig(steps=3, guidance_scale=1.0, frames=5, height=16, width=16, max_sequence_length=8)
    text = tiny.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    noise = tiny.initial_latents(VideoSize(5, 16, 16), 0)
    seen: list[tuple] = []
    part = Recorder(2, seen, noise)
    sampled = Sampler(tiny, text, config).run(noise, [part], progress=lambda *told: seen.append(told), finish=finish)
    taken = 3 if finish else 2
    assert [item[:2] for item in seen[1:-2]] == [
        item for i in range(taken) for item in (("before", i), ("inside", i), ("sample", i + 1))
    ]
    assert (seen[0], seen[-2:]) == (("enter",), [("outcome",), ("exit",)])
    before = [item for item in seen if item[0] == "before"]
    assert [item[3] for item in before] == [True, False, False][:taken]
    assert before[0][2] > before[1][2]
    assert [item[1:] for item in seen if item[0] == "sample"] == [(i + 1, 3, None) for i in range(taken)]
    assert sampled.outcome.losses == [[1.0]]
    assert sampled.seconds_optimize == 0 and sampled.seconds_sample > 0


def test_the_pipelines_scheduler_is_left_alone(tiny: WanBackbone) -> None:
    before = dict(vars(tiny.pipe.scheduler))
    config = SamplerConfig(steps=3, guidance_scale=1.0, frames=5, height=16, width=16, max_sequence_length=8)
    text = tiny.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    Sampler(tiny, text, config).run(tiny.initial_latents(VideoSize(5, 16, 16), 0))
    assert vars(tiny.pipe.scheduler).keys() == before.keys()
    assert all(vars(tiny.pipe.scheduler)[key] is value for key, value in before.items())
