"""Wan's object maps against brute force over the stock forward, and its processor against the stock one."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from tests.attention.test_maps import TOKENS, brute_force
from ttom.attention.wan import CaptureProcessor
from ttom.backbones.wan import WanBackbone
from ttom.types import VideoSize

SIZE = VideoSize(9, 32, 48)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, tiny: WanBackbone) -> WanBackbone:
    """The tiny model in float64 throughout: diffusers' own casts to float32 are turned off."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    tiny.pipe.to(torch.float64)
    return tiny


def inputs(backbone: WanBackbone) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text = backbone.encode_prompt("two dogs above a cat", "", guidance=False, max_sequence_length=10)
    return backbone.initial_latents(SIZE, 0), torch.tensor(900.0), text.positive


def test_model_maps_equal_brute_force_over_the_stock_forward(double: WanBackbone) -> None:
    latents, timestep, text = inputs(double)
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def watch(block: int):
        def hook(attn, args, kwargs, output) -> None:
            q = attn.norm_q(attn.to_q(args[0])).unflatten(2, (attn.heads, -1))
            k = attn.norm_k(attn.to_k(args[1])).unflatten(2, (attn.heads, -1))
            seen[block] = (q, k)

        return hook

    blocks = double.transformer.blocks
    handles = [blocks[b].attn2.register_forward_hook(watch(b), with_kwargs=True) for b in (1, 3)]
    double.denoise(latents, timestep, text)
    for handle in handles:
        handle.remove()
    maps = double.object_maps(latents, timestep, text, TOKENS, (1, 3))
    assert maps.shape == (2, 2, 3, 8, 12)
    for i, block in enumerate((1, 3)):
        torch.testing.assert_close(maps[i].flatten(1)[None], brute_force(*seen[block], TOKENS), rtol=1e-9, atol=1e-12)
    assert maps[0].std() > 0 and not torch.allclose(maps[0], maps[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_processor_output_is_the_stock_output_bit_for_bit(tiny: WanBackbone, dtype: torch.dtype) -> None:
    attn = tiny.transformer.blocks[0].attn2.to(dtype)
    video, text = torch.randn(1, 96, 24, dtype=dtype), torch.randn(1, 10, 24, dtype=dtype)
    ours = CaptureProcessor(TOKENS, stop=False)(attn, video, text)
    assert torch.equal(ours, WanAttnProcessor()(attn, video, text))
