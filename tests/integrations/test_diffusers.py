"""The stock pipelines with an exported LoRA: gated they give our own run's latents, ungated others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXPipeline, WanPipeline
from torch import Tensor

from tests.running import run_loaded
from tests.tiny import tiny_cogvideox, tiny_pipeline
from ttom.backbones import CogVideoXBackbone, WanBackbone
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.integrations.diffusers import GatedLora
from ttom.prepare import Prepared
from ttom.types import ObjectMasks, VideoSize

PROMPT = "A red balloon above two dogs"
STEPS, GUIDED, SEED = 4, 2, 3
FAMILIES = {
    "wan": (WanPipeline, WanBackbone, tiny_pipeline, VideoSize(9, 32, 48), 16),
    "cogvideox": (CogVideoXPipeline, CogVideoXBackbone, lambda: tiny_cogvideox("5b"), VideoSize(17, 32, 48), 20),
}


class Case:
    """A tiny stock pipeline, our own run with an adapter, and the same adapter as an exported LoRA."""

    def __init__(self, family: str, folder: Path) -> None:
        _, wrap, build, self.size, self.length = FAMILIES[family]
        backbone: Any = wrap("tiny", build())
        settings = Settings(
            sampler=SamplerConfig(
                steps=STEPS, guidance_scale=3.0, frames=self.size.frames, height=32, width=48, fps=8,
                max_sequence_length=self.length,
            ),
            adapter=AdapterConfig(rank=2, alpha=4.0),
            tto=TTOConfig(blocks=(2,), guided_steps=GUIDED),
        )  # fmt: skip
        adapter = LoraAdapter(backbone, settings.adapter, (2,), seed=0)
        adapter.attach()
        with torch.no_grad():
            for parameter in adapter.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) / 2)
        adapter.save(folder)
        state = adapter.state_dict()
        adapter.detach()
        text = backbone.encode_prompt(PROMPT, "", guidance=True, max_sequence_length=self.length)
        tokens = [backbone.vocabulary.phrase_tokens(PROMPT, phrase, self.length) for phrase in ("red balloon", "dogs")]
        grid = backbone.token_grid(self.size)
        masks = torch.full((2, grid.frames, grid.height, grid.width), 1 / (grid.height * grid.width))
        masks = ObjectMasks(masks, torch.ones(2, grid.frames, dtype=torch.bool))
        inputs = (backbone.initial_latents(self.size, SEED), text, tokens, masks)

        def ours(guided_steps: int) -> Tensor:
            changed = replace(settings, tto=replace(settings.tto, guided_steps=guided_steps))
            return run_loaded(Prepared(backbone, changed, SEED, PROMPT, None, *inputs), state).latents

        self.ours: Callable[[int], Tensor] = ours
        self.pipe = build()
        self.pipe.set_progress_bar_config(disable=True)
        self.plain = self.stock()
        self.pipe.load_lora_weights(folder, adapter_name="ttom")

    def stock(self, gate: GatedLora | None = None) -> Tensor:
        return self.pipe(
            prompt=PROMPT,
            negative_prompt="",
            height=self.size.height,
            width=self.size.width,
            num_frames=self.size.frames,
            num_inference_steps=STEPS,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(SEED),
            max_sequence_length=self.length,
            output_type="latent",
            callback_on_step_end=gate,
        ).frames


@pytest.fixture(params=FAMILIES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(request.param, tmp_path)


def test_a_gated_lora_gives_our_own_runs_latents(case: Case) -> None:
    gate = GatedLora(case.pipe, "ttom", GUIDED)
    gated = case.stock(gate)
    assert torch.equal(gated, case.ours(GUIDED))
    assert torch.equal(case.stock(gate), gated)  # it is on again for the next video
    ungated = case.stock()
    assert torch.equal(ungated, case.ours(STEPS))  # as with tto.keep_after
    assert not torch.allclose(ungated, gated, rtol=0.1) and not torch.allclose(gated, case.plain, rtol=0.1)


def test_an_interrupted_run_can_be_repeated(case: Case) -> None:
    class Interrupted(GatedLora):
        def __call__(self, pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Any]) -> dict[str, Any]:
            super().__call__(pipe, step, timestep, tensors)
            if step == GUIDED:
                raise KeyboardInterrupt
            return tensors

    with pytest.raises(KeyboardInterrupt):
        case.stock(Interrupted(case.pipe, "ttom", GUIDED))
    assert torch.equal(case.stock(), case.plain)  # it is still off
    assert torch.equal(case.stock(GatedLora(case.pipe, "ttom", GUIDED)), case.ours(GUIDED))


@pytest.mark.parametrize("case", ["wan"], indirect=True)
def test_the_users_own_lora_stays_on(case: Case, tmp_path: Path) -> None:
    case.pipe.unload_lora_weights()
    case.pipe.load_lora_weights(tmp_path, adapter_name="style")
    case.pipe.set_adapters(["style"], [0.25])
    styled = case.stock()
    case.pipe.load_lora_weights(tmp_path, adapter_name="ttom")
    case.pipe.set_adapters(["style", "ttom"], [0.25, 1.0])
    gate = GatedLora(case.pipe, "ttom", GUIDED)
    assert not torch.allclose(case.stock(gate), styled, rtol=0.1)
    gate.disable()
    assert torch.equal(case.stock(), styled)


@pytest.mark.parametrize("case", ["wan"], indirect=True)
def test_wrong_use_is_refused(case: Case) -> None:
    with pytest.raises(UserError, match="(?s)no LoRA 'other'.*one of ttom.*load_lora_weights"):
        GatedLora(case.pipe, "other", 5)
    with pytest.raises(UserError, match="guided_steps is 0"):
        GatedLora(case.pipe, "ttom", 0)
    case.pipe.unload_lora_weights()
    with pytest.raises(UserError, match="(?s)no LoRA 'ttom'.*loaded before"):
        GatedLora(case.pipe, "ttom", 5)
