"""CogVideoX's object maps against brute force over the stock forward, and its processor against the stock one."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from torch import Tensor

from tests.attention.test_joint import brute_force, write_out
from tests.tiny import TEXT_LENGTH
from ttom.attention.capture import Prefix
from ttom.attention.cogvideox import CaptureProcessor
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.types import VideoSize

SIZE = VideoSize(17, 32, 48)
TOKENS = [[1, 2], [5]]
KINDS = pytest.mark.parametrize("cogvideox", ["2b", "5b", "1.5"], indirect=True)
FRAMES = {"2b": 5, "5b": 5, "1.5": 3}


def inputs(backbone: CogVideoXBackbone) -> tuple[Tensor, Tensor, Tensor]:
    text = backbone.encode_prompt("two dogs above a cat", "", guidance=False, max_sequence_length=TEXT_LENGTH)
    return backbone.initial_latents(SIZE, 0), torch.tensor(900), text.positive


def rotated(x: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
    """Neighboring channels as complex numbers times e^(i angle), text tokens left as they are."""
    if rotary is None:
        return x
    cos, sin = (part.double()[:, ::2] for part in rotary)
    video = torch.view_as_complex(x[:, :, TEXT_LENGTH:].double().unflatten(-1, (-1, 2)).contiguous())
    turned = torch.view_as_real(video * torch.complex(cos, sin)).flatten(-2)
    return torch.cat([x[:, :, :TEXT_LENGTH], turned.to(x.dtype)], dim=2)


def stock_maps(
    backbone: CogVideoXBackbone, latents: Tensor, timestep: Tensor, text: Tensor, blocks: tuple[int, ...]
) -> Tensor:
    """(K, N, S) by brute force from what the attention of a full stock forward is given."""
    maps: dict[int, Tensor] = {}

    def watch(block: int):
        def hook(attn, args, kwargs, output) -> None:
            states = torch.cat([kwargs["encoder_hidden_states"], kwargs["hidden_states"]], dim=1)
            query, key = (
                rotated(norm(linear(states).unflatten(2, (attn.heads, -1)).transpose(1, 2)), kwargs["image_rotary_emb"])
                for linear, norm in ((attn.to_q, attn.norm_q), (attn.to_k, attn.norm_k))
            )
            maps[block] = brute_force(query[:, :, TEXT_LENGTH:], key, TOKENS)[0]

        return hook

    modules = backbone.transformer.transformer_blocks
    handles = [modules[b].attn1.register_forward_hook(watch(b), with_kwargs=True) for b in blocks]
    backbone.denoise(latents, timestep, text)
    for handle in handles:
        handle.remove()
    return torch.stack([maps[b] for b in blocks])


@KINDS
@pytest.mark.parametrize("form", ["at once", "in parts", "kernel"])
def test_maps_and_gradients_equal_brute_force_over_the_stock_forward(
    monkeypatch: pytest.MonkeyPatch, cogvideox: CogVideoXBackbone, form: str, request: pytest.FixtureRequest
) -> None:
    """In float64, with the gradient to a weight before the target blocks, to one in the last, and to the latents."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # diffusers' own casts to float32 are off
    if form != "at once":
        write_out(monkeypatch, 10_000, kernel=form == "kernel")
    cogvideox.pipe.to(torch.float64)
    latents, timestep, text = inputs(cogvideox)
    latents.requires_grad_()
    blocks = cogvideox.transformer.transformer_blocks
    wanted = (blocks[0].attn1.to_v.weight, blocks[3].attn1.to_k.weight, latents)
    ours = cogvideox.object_maps(latents, timestep, text, TOKENS, (1, 3))
    theirs = stock_maps(cogvideox, latents, timestep, text, (1, 3))
    assert ours.shape == (2, 2, FRAMES[request.node.callspec.params["cogvideox"]], 4, 6)
    assert ours.dtype == torch.float64 and ours[0].std() > 0 and not torch.allclose(ours[0], ours[1])
    torch.testing.assert_close(ours.flatten(2), theirs, rtol=1e-9, atol=1e-12)
    weights = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradients = [torch.autograd.grad((maps.flatten(2) * weights).sum(), wanted) for maps in (ours, theirs)]
    for mine, reference in zip(*gradients, strict=True):
        assert reference.abs().max() > 1e-6
        torch.testing.assert_close(mine, reference, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rotary", [False, True])
def test_processor_output_is_the_stock_output_bit_for_bit(
    cogvideox: CogVideoXBackbone, dtype: torch.dtype, rotary: bool
) -> None:
    attn = cogvideox.transformer.transformer_blocks[0].attn1.to(dtype)
    video, text = torch.randn(2, 120, 32).to(dtype), torch.randn(2, 10, 32).to(dtype)
    angles = cogvideox.pipe._prepare_rotary_positional_embeddings(32, 48, 5, torch.device("cpu")) if rotary else None
    with torch.no_grad():
        ours = CaptureProcessor(TOKENS, stop=False)(attn, video, text, image_rotary_emb=angles)
        stock = CogVideoXAttnProcessor2_0()(attn, video, text, image_rotary_emb=angles)
    assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))


def test_forward_stops_in_the_last_target_block(cogvideox: CogVideoXBackbone) -> None:
    transformer, ran = cogvideox.transformer, []
    for name in ("0.ff", "1.attn1.to_q", "1.attn1.to_v", "1.ff", "2"):
        module = transformer.get_submodule(f"transformer_blocks.{name}")
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    args = inputs(cogvideox)
    cogvideox.object_maps(*args, TOKENS, (1, 0))
    assert ran == ["0.ff", "1.attn1.to_q"]
    with pytest.raises(IndexError):
        cogvideox.object_maps(*args, [[1000]], (1,))
    processors = [block.attn1.processor for block in transformer.transformer_blocks]
    assert {type(processor) for processor in processors} == {CogVideoXAttnProcessor2_0}


def test_block_order_is_the_callers_and_capturing_changes_nothing(cogvideox: CogVideoXBackbone) -> None:
    args = inputs(cogvideox)
    with torch.no_grad():
        both = cogvideox.object_maps(*args, TOKENS, (3, 1))
        assert torch.equal(both, cogvideox.object_maps(*args, TOKENS, (1, 3)).flip(0))
        assert torch.equal(both[0], cogvideox.object_maps(*args, TOKENS, (3,))[0])


@pytest.mark.parametrize("cogvideox", ["2b", "5b"], indirect=True)
def test_gradient_checkpointing_and_a_prefix_change_nothing(cogvideox: CogVideoXBackbone) -> None:
    cogvideox.transformer.requires_grad_(False)
    weight = cogvideox.transformer.transformer_blocks[2].attn1.to_v.weight.requires_grad_()
    results, prefix = [], Prefix(2)
    for i in range(4):
        if i == 2:
            cogvideox.transformer.enable_gradient_checkpointing()
        maps = cogvideox.object_maps(*inputs(cogvideox), TOKENS, (2, 3), prefix if i else None)
        results.append((maps, *torch.autograd.grad(maps.square().sum(), weight)))
    assert results[0][1].any()
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
