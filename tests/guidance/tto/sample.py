"""A prompt of the tiny pipeline with masks, ready to be optimized."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from tests.running import run_tto
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.prepare import Prepared
from ttom.sampler import Sampled
from ttom.types import ObjectMasks, TextEmbeddings, VideoSize

SIZE = VideoSize(9, 32, 48)


PROMPT = "two dogs and a red balloon"


SETTINGS = Settings(
    sampler=SamplerConfig(steps=5, guidance_scale=4.0, frames=9, height=32, width=48, max_sequence_length=12),
    adapter=AdapterConfig(rank=4, alpha=4.0),
    tto=TTOConfig(blocks=(1, 2), lr=1e-2, guided_steps=2, iterations=3),
)


class Sample:
    """One prompt with masks on opposite sides, ready to run."""

    def __init__(self, backbone: WanBackbone, settings: Settings = SETTINGS) -> None:
        self.backbone, self.settings = backbone, settings
        self.text: TextEmbeddings = backbone.encode_prompt(PROMPT, "", guidance=True, max_sequence_length=12)
        self.tokens = [backbone.vocabulary.phrase_tokens(PROMPT, phrase, 12) for phrase in ("dogs", "red balloon")]
        masks = torch.zeros(2, 3, 8, 12)
        masks[0, :, 2:6, :4], masks[1, :, 2:6, 8:] = 1 / 16, 1 / 16
        self.masks = ObjectMasks(masks, torch.ones(2, 3, dtype=torch.bool))
        self.latents = backbone.initial_latents(SIZE, 0)

    def prepared(self, seed: int = 0) -> Prepared:
        inputs = (self.latents, self.text, self.tokens, self.masks)
        return Prepared(self.backbone, self.settings, seed, PROMPT, None, *inputs)

    def run(self, seed: int = 0, **options: Any) -> Sampled:
        return run_tto(self.prepared(seed), **options)

    def with_tto(self, **changes: Any) -> Sample:
        return Sample(self.backbone, replace(self.settings, tto=replace(self.settings.tto, **changes)))
