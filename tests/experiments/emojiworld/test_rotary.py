"""The fast rotary embedding of training equals the stock one."""

from __future__ import annotations

import torch

from experiments.emojiworld.families import cogvideox_rotary
from experiments.emojiworld.models import build_cogvideox_transformer, build_transformer
from experiments.emojiworld.rotary import use_fast_joint_rotary, use_fast_rotary


def test_outputs_and_gradients_equal_the_stock_processors() -> None:
    torch.manual_seed(0)
    transformer = build_transformer().double()
    latents = torch.randn(2, 16, 5, 16, 24, dtype=torch.float64)
    text = torch.randn(2, 64, 192, dtype=torch.float64)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        transformer.zero_grad()
        output = transformer(latents, torch.tensor([500.0, 100.0]).double(), text, return_dict=False)[0]
        output.square().mean().backward()
        return output.detach(), transformer.blocks[0].attn1.to_q.weight.grad.clone()  # type: ignore[union-attr]

    stock = run()
    use_fast_rotary(transformer)
    fast = run()
    for a, b in zip(stock, fast, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= 1e-6 * a.abs().max()  # diffusers' norms and angles are float32


def test_the_joint_form_equals_the_stock_processor() -> None:
    torch.manual_seed(0)
    transformer = build_cogvideox_transformer().double()
    latents = torch.randn(2, 5, 16, 16, 24, dtype=torch.float64)
    text = torch.randn(2, 64, 192, dtype=torch.float64)
    angles = cogvideox_rotary(transformer, 5, torch.device("cpu"))

    def run() -> list[torch.Tensor]:
        transformer.zero_grad()
        output = transformer(latents, text, torch.tensor([500, 100]), image_rotary_emb=angles, return_dict=False)[0]
        output.square().mean().backward()
        attn = transformer.transformer_blocks[0].attn1
        return [output.detach(), attn.to_q.weight.grad.clone(), attn.to_k.weight.grad.clone()]

    stock = run()
    use_fast_joint_rotary(transformer)
    fast = run()
    for a, b in zip(stock, fast, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= 1e-6 * a.abs().max()  # diffusers' angles are applied in float32
