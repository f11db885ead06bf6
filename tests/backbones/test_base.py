"""What Wan and CogVideoX share: block checks, LoRA targets, smaller latents, the vocabulary, decoded frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ttom.backbones.base import check_frames, check_sides, to_frames
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError
from ttom.types import VideoSize

ALL = ("to_q", "to_k", "to_v", "to_out.0")


def test_blocks_out_of_range(tiny: WanBackbone) -> None:
    tiny.check_blocks((0, 3))
    with pytest.raises(UserError, match="(?s)block 4.*has 4 blocks.*0 to 3.*`preset`"):
        tiny.check_blocks((1, 4))
    with pytest.raises(UserError, match="block -1"):
        tiny.check_blocks((-1,))


def test_target_blocks_must_be_resident(tiny: WanBackbone) -> None:
    tiny.runtime = replace(tiny.runtime, resident_blocks=2)
    tiny.check_blocks((1,))
    with pytest.raises(UserError, match="(?s)block 2, but `runtime.resident_blocks` is 2.*`runtime.resident_blocks=3`"):
        tiny.check_blocks((0, 2))
    with pytest.raises(UserError, match="do not stay on the GPU"):
        tiny.lora_targets((1,), ALL, all_blocks=True)


def test_loras_are_where_the_gradient_arrives(tiny: WanBackbone, cogvideox: CogVideoXBackbone) -> None:
    """All projections before the last target block; in it, query and key, which decide the map."""
    assert tiny.lora_targets((0, 1), ALL, all_blocks=False) == [
        *(f"blocks.0.attn2.{name}" for name in ALL),
        "blocks.1.attn2.to_q",
        "blocks.1.attn2.to_k",
    ]
    assert len(tiny.lora_targets((1,), ALL, all_blocks=True)) == 4 * 4
    assert tiny.lora_targets((3,), ("to_q", "to_v"), all_blocks=False, first=2) == [
        "blocks.2.attn2.to_q",
        "blocks.2.attn2.to_v",
        "blocks.3.attn2.to_q",
    ]
    names = cogvideox.lora_targets((2,), ALL, all_blocks=False)
    assert {name.rpartition(".attn1.")[0] for name in names} == {f"transformer_blocks.{b}" for b in range(3)}
    for name in names:
        cogvideox.transformer.get_submodule(name)
    with pytest.raises(UserError, match="no gradient reaches"):
        tiny.lora_targets((2,), ("to_v",), all_blocks=False, first=2)


def test_smaller_latents_are_picked_at_even_distances(tiny: WanBackbone) -> None:
    latents = torch.arange(8.0)[:, None] * 100 + torch.arange(12.0)
    small = tiny.reduced(latents.expand(1, 16, 3, 8, 12), 2)
    assert small[0, 0, 0].tolist() == [[100 * row + column for column in (1, 3, 5, 7, 9, 11)] for row in (1, 3, 5, 7)]
    grid = tiny.token_grid(VideoSize(9, 32, 48))
    assert tuple(small.shape[2:]) == (grid.frames, grid.reduced(2).height, grid.reduced(2).width)
    assert torch.equal(tiny.reduced(small, 1), small)
    with pytest.raises(UserError, match="at most 8"):
        tiny.reduced(latents.expand(1, 16, 3, 8, 12), 9)


def test_frames_and_sides() -> None:
    check_frames(17, 4)
    with pytest.raises(UserError, match="(?s)`sampler.frames` is 0.*1 or 5"):
        check_frames(0, 4)
    check_sides(VideoSize(1, 32, 48), 16, 16)
    with pytest.raises(UserError, match="(?s)`sampler.width` is 50.*multiple of 16.*48 or 64"):
        check_sides(VideoSize(1, 32, 50), 16, 16)


def test_frames_are_rounded_to_bytes(tiny: WanBackbone) -> None:
    video = torch.linspace(-1.2, 1.2, 3 * 2 * 2).view(1, 3, 2, 2, 1).expand(1, 3, 2, 2, 4)
    frames = to_frames(tiny.pipe, video)
    assert frames.shape == (2, 2, 4, 3) and frames.dtype == torch.uint8
    expected = ((video[0].permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1) * 255).round()
    assert torch.equal(frames.float(), expected)
