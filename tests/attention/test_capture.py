"""Reading maps during a stock forward: where it ends, what it leaves behind, checkpointing and cached prefixes."""

from __future__ import annotations

from traceback import walk_tb

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from tests.attention.test_maps import TOKENS
from tests.attention.test_wan import inputs
from ttom.attention import capture
from ttom.attention.capture import Prefix
from ttom.backbones.wan import WanBackbone


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
