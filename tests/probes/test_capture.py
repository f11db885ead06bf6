"""Maps are read from the very forwards that make the video, change nothing in it, and are not kept in memory."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from probes.capture import MapSpool, generate
from tests.backbones.toy import ToyBackbone, ToyPipeline
from tests.tiny import TEXT_LENGTH
from ttom import TTOM
from ttom.backbones import Backbone, CogVideoXBackbone, WanBackbone
from ttom.config import SamplerConfig, Settings, TTOConfig
from ttom.layout.rules.planner import plan
from ttom.sampler import Sampler
from ttom.types import TokenGrid, VideoSize

PROMPT = "A red balloon above a blue house"
GROUPS = plan(PROMPT, aspect=1.5, seed=0).groups()
WAN = SamplerConfig(steps=4, guidance_scale=3.0, frames=5, height=16, width=32, max_sequence_length=20)
COGVIDEOX = replace(WAN, frames=9, height=32, width=48, dynamic_guidance=True, max_sequence_length=TEXT_LENGTH)
STEPS = (0, 2, 3)


def check_against_the_plain_run(backbone: Backbone, config: SamplerConfig, folder: Path) -> None:
    """Latents and video of method base to the last bit; maps those of `object_maps` at the same latents."""
    runner = TTOM("tiny", preset="emojiworld")
    runner._backbone = backbone
    plain = runner.generate(
        PROMPT, "base", seed=7, settings=Settings(sampler=config, tto=TTOConfig(blocks=(1,), guided_steps=2))
    )
    size, length = VideoSize(config.frames, config.height, config.width), config.max_sequence_length
    grid, blocks = backbone.token_grid(size), tuple(range(backbone.num_blocks))
    with MapSpool(folder, grid) as spool:
        seen = generate(backbone, PROMPT, GROUPS, config, 7, steps=STEPS, blocks=blocks, spool=spool)
        found = {(step, block): maps.copy() for step, block, maps in spool}
    assert torch.equal(seen.latents, plain.latents)
    assert np.array_equal(seen.video, plain.video)
    assert list(found) == [(step, block) for step in STEPS for block in blocks]

    text = backbone.encode_prompt(PROMPT, "", guidance=config.guidance_scale > 1, max_sequence_length=length)
    sampler, latents = Sampler(backbone, text, config, 7), backbone.initial_latents(size, 7)
    tokens = [backbone.vocabulary.phrase_tokens(PROMPT, group.phrase, length) for group in GROUPS]
    for step in range(config.steps):
        if step in STEPS:
            assert seen.timesteps[step] == float(sampler.timesteps[step])
            with torch.no_grad():
                expected = backbone.object_maps(latents, sampler.timesteps[step], text.positive, tokens, blocks)
            for block in blocks:
                assert found[step, block].shape == expected[block].shape == (2, grid.frames, grid.height, grid.width)
                # Of a batch of two the kernels may round differently than of one.
                np.testing.assert_allclose(found[step, block], expected[block].numpy(), rtol=1e-4, atol=1e-7)
        latents = sampler.step(step, latents)
    assert np.std([maps.std() for maps in found.values()]) > 0


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_wan(tiny: WanBackbone, tmp_path: Path, guidance: float) -> None:
    processors = [block.attn2.processor for block in tiny.transformer.blocks]
    check_against_the_plain_run(tiny, replace(WAN, guidance_scale=guidance), tmp_path)
    assert all(b.attn2.processor is p for b, p in zip(tiny.transformer.blocks, processors, strict=True))


@pytest.mark.parametrize("cogvideox", ["2b", "1.5"], indirect=True)
def test_cogvideox(cogvideox: CogVideoXBackbone, tmp_path: Path) -> None:
    frames = 9 if cogvideox.temporal_compression == 4 else 17
    check_against_the_plain_run(cogvideox, replace(COGVIDEOX, frames=frames), tmp_path)


def test_a_third_family(tmp_path: Path) -> None:
    backbone = ToyBackbone("toy", ToyPipeline.from_pretrained(""))
    check_against_the_plain_run(backbone, replace(WAN, frames=6), tmp_path)


def test_one_map_at_a_time_is_in_memory(tiny: WanBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks and steps: when a map comes, all before it are gone."""
    alive: list[weakref.ref[Tensor]] = []
    most = []
    write = MapSpool.write

    def watched(self: MapSpool, step: int, block: int, maps: Tensor) -> None:
        most.append(sum(ref() is not None for ref in alive))
        storage = maps.untyped_storage()
        alive.append(weakref.ref(maps))
        assert storage.nbytes() == 2 * 4 * tiny.token_grid(VideoSize(5, 16, 32)).count, "mean over heads and tokens"
        write(self, step, block, maps)

    monkeypatch.setattr(MapSpool, "write", watched)
    with MapSpool(tmp_path, tiny.token_grid(VideoSize(5, 16, 32))) as spool:
        generate(tiny, PROMPT, GROUPS, WAN, 0, steps=(0, 1, 2, 3), blocks=(0, 1, 2, 3), spool=spool)
    assert len(alive) == 16 and max(most) == 0


def test_a_spool_leaves_nothing_behind_and_may_be_read_twice(tmp_path: Path) -> None:
    first, second = torch.rand(2, 12), torch.rand(1, 12)
    with MapSpool(tmp_path / "new", TokenGrid(1, 3, 4)) as spool:
        spool.write(0, 3, first)
        spool.write(5, 1, second)
        for _ in range(2):
            (a, b) = list(spool)
            assert a[:2] == (0, 3) and np.array_equal(a[2].reshape(2, 12), first.numpy())
            assert b[:2] == (5, 1) and np.array_equal(b[2].reshape(1, 12), second.numpy())
    assert list((tmp_path / "new").iterdir()) == []
