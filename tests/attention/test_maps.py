"""Object maps against a brute-force softmax: values and gradients, and the processor against the stock one."""

from __future__ import annotations

from traceback import walk_tb

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ttom.attention import capture
from ttom.attention.capture import Prefix
from ttom.attention.maps import object_attention
from ttom.attention.wan import CaptureProcessor
from ttom.backbones.wan import WanBackbone
from ttom.types import VideoSize

SIZE = VideoSize(9, 32, 48)
TOKENS = [[1, 2], [5]]


def brute_force(query: torch.Tensor, key: torch.Tensor, tokens: list[list[int]]) -> torch.Tensor:
    """(B, N, S): the whole softmax written out, then its mean over heads and the object's tokens."""
    scores = torch.einsum("bshd,blhd->bhsl", query, key) / query.shape[-1] ** 0.5
    shares = scores.softmax(-1).mean(1)
    return torch.stack([shares[..., positions].mean(-1) for positions in tokens], dim=1)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, tiny: WanBackbone) -> WanBackbone:
    """The tiny model in float64 throughout: diffusers' own casts to float32 are turned off."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    tiny.pipe.to(torch.float64)
    return tiny


def inputs(backbone: WanBackbone) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text = backbone.encode_prompt("two dogs above a cat", "", guidance=False, max_sequence_length=10)
    return backbone.initial_latents(SIZE, 0), torch.tensor(900.0), text.positive


@pytest.mark.parametrize("tokens", [[[0]], [[1, 2, 6], [3], [3, 4]], [[i % 7] for i in range(9)]])
def test_maps_and_gradients_equal_brute_force(monkeypatch: pytest.MonkeyPatch, tokens: list[list[int]]) -> None:
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # keep the float64 of this comparison
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, n, 3, 4, generator=generator, dtype=torch.float64) for n in (11, 7))
    weights = torch.randn(2, len(tokens), 11, generator=generator, dtype=torch.float64)
    results = []
    for function in (object_attention, brute_force):
        q, k = query.clone().requires_grad_(), key.clone().requires_grad_()
        maps = function(q, k, tokens)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_maps_of_all_tokens_sum_to_one() -> None:
    query, key = torch.randn(1, 5, 2, 8), torch.randn(1, 6, 2, 8)
    maps = object_attention(query, key, [[i] for i in range(6)])
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.sum(1), torch.ones(1, 5))


def test_the_whole_map_is_never_written() -> None:
    """No tensor of the forward or the backward has as many entries as the (video x text) matrix of one head."""
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))
            return out

    video, text, channels = 1000, 512, 16
    query, key = (torch.randn(1, n, 1, channels, requires_grad=True) for n in (video, text))
    with Watch():
        object_attention(query, key, [[3, 4], [9]]).sum().backward()
    assert sizes and max(sizes) < video * text / 10


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


def test_the_ended_forward_keeps_no_activations(tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever still has the exception that ended it does not have them by way of its frames."""
    kept: list[BaseException] = []

    class Kept(capture.StopForward):
        def __init__(self) -> None:
            kept.append(self)

    monkeypatch.setattr(capture, "StopForward", Kept)
    tiny.object_maps(*inputs(tiny), TOKENS, (3,))
    frames = [frame for frame, _ in walk_tb(kept[0].__traceback__) if "diffusers" in frame.f_code.co_filename]
    assert len(frames) > 2
    assert not [value for frame in frames for value in frame.f_locals.values() if isinstance(value, torch.Tensor)]


def test_block_order_is_the_callers(tiny: WanBackbone) -> None:
    args = inputs(tiny)
    with torch.no_grad():
        torch.testing.assert_close(
            tiny.object_maps(*args, TOKENS, (3, 1)), tiny.object_maps(*args, TOKENS, (1, 3)).flip(0), rtol=0, atol=0
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_processor_output_is_the_stock_output_bit_for_bit(tiny: WanBackbone, dtype: torch.dtype) -> None:
    attn = tiny.transformer.blocks[0].attn2.to(dtype)
    video, text = torch.randn(1, 96, 24, dtype=dtype), torch.randn(1, 10, 24, dtype=dtype)
    ours = CaptureProcessor(TOKENS, stop=False)(attn, video, text)
    assert torch.equal(ours, WanAttnProcessor()(attn, video, text))


def test_capturing_changes_no_output_of_earlier_blocks(tiny: WanBackbone) -> None:
    """Maps of block 3 are the same whether or not blocks before it are captured too."""
    args = inputs(tiny)
    with torch.no_grad():
        assert torch.equal(tiny.object_maps(*args, TOKENS, (3,))[0], tiny.object_maps(*args, TOKENS, (0, 1, 2, 3))[3])


def test_forward_stops_in_the_last_target_block(tiny: WanBackbone) -> None:
    blocks = tiny.transformer.blocks
    ran: list[str] = []
    for name in ("blocks.0.ffn", "blocks.1.attn1", "blocks.1.attn2.to_v", "blocks.1.ffn", "blocks.2"):
        tiny.transformer.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    tiny.object_maps(*inputs(tiny), TOKENS, (1,))
    assert ran == ["blocks.0.ffn", "blocks.1.attn1"]
    assert all(type(block.attn2.processor) is WanAttnProcessor for block in blocks)


def test_processors_come_back_after_an_error(tiny: WanBackbone) -> None:
    originals = [block.attn2.processor for block in tiny.transformer.blocks]
    with pytest.raises(KeyboardInterrupt), tiny._captured((0, 2), TOKENS):
        raise KeyboardInterrupt
    assert all(b.attn2.processor is p for b, p in zip(tiny.transformer.blocks, originals, strict=True))


@pytest.mark.parametrize("blocks", [(0,), (2,), (1, 3)])
def test_gradient_checkpointing_gives_the_same_maps_and_gradients(tiny: WanBackbone, blocks: tuple[int, ...]) -> None:
    """Of the checkpointed blocks each runs a second time, the last target block does not; the backward runs outside."""
    weight = tiny.transformer.blocks[0].attn2.to_q.weight
    calls: list[int] = []
    for b, block in enumerate(tiny.transformer.blocks):
        block.register_forward_pre_hook(lambda *_, b=b: calls.append(b))
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            tiny.transformer.enable_gradient_checkpointing()
        function = tiny.transformer._gradient_checkpointing_func
        maps = tiny.object_maps(*inputs(tiny), TOKENS, blocks)
        assert tiny.transformer._gradient_checkpointing_func is function
        results.append((maps, *torch.autograd.grad(maps.square().sum(), weight)))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
    assert results[0][1].any()
    last = max(blocks)
    assert calls == 2 * list(range(last + 1)) + list(reversed(range(last)))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("first", [0, 2, 3])
def test_a_prefix_runs_once_and_changes_nothing(tiny: WanBackbone, first: int, checkpointing: bool) -> None:
    if checkpointing:
        tiny.transformer.enable_gradient_checkpointing()
    tiny.transformer.requires_grad_(False)
    weight = tiny.transformer.blocks[first].attn2.to_q.weight.requires_grad_()
    plain = tiny.object_maps(*inputs(tiny), TOKENS, (3,))
    expected = torch.autograd.grad(plain.square().sum(), weight)[0]
    calls, attended = [], []
    for b, block in enumerate(tiny.transformer.blocks):
        block.register_forward_pre_hook(lambda *_, b=b: calls.append(b))
        block.attn1.register_forward_pre_hook(lambda *_, b=b: attended.append(b))
    prefix = Prefix(first)
    for _ in range(3):
        maps = tiny.object_maps(*inputs(tiny), TOKENS, (3,), prefix)
        assert torch.equal(maps, plain)
        assert torch.equal(torch.autograd.grad(maps.square().sum(), weight)[0], expected)
    again = [6 if checkpointing and b < 3 else 3 for b in range(4)]  # the last target block never runs twice
    assert [calls.count(b) for b in range(4)] == [1 if b < first else again[b] for b in range(4)]
    assert [attended.count(b) for b in range(4)] == [1 if b <= first else again[b] for b in range(4)]
    other = torch.randn_like(inputs(tiny)[0])
    assert not torch.equal(tiny.object_maps(other, *inputs(tiny)[1:], TOKENS, (3,), Prefix(first)), plain)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_the_gpus_kernels_equal_brute_force_at_wans_width(dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, n, 4, 128, generator=generator).to("cuda", dtype) for n in (1560, 512))
    weights = torch.randn(1, len(TOKENS), 1560, generator=generator).cuda()
    results = []
    for function, kind in ((object_attention, dtype), (brute_force, torch.float64)):
        q, k = (x.to(kind).requires_grad_() for x in (query, key))
        maps = function(q, k, TOKENS)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours.double() - theirs).norm() / theirs.norm()).item() < tolerance
