"""Wan's self-attention with a rotary embedding that compiles to a fast kernel.

The stock processor writes even and odd channels in turn. Compiled, that is one kernel of 2 ms a block at 256 clips on
one H200, 27% of the GPU time of a training step, where the bytes that it moves need about 0.1 ms.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate channel pairs (2i, 2i+1) of ``(B, S, heads, D)`` by the angles of ``(1, S, 1, D)`` cosines and sines."""
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    sign = torch.tensor([-1.0, 1.0], device=x.device).repeat(x.shape[-1] // 2)
    return (x * cos + swapped * (sin * sign)).type_as(x)


class FastRotaryProcessor:
    """Stands in for ``WanAttnProcessor`` in self-attention."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        assert rotary_emb is not None and encoder_hidden_states is None
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(hidden_states)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(hidden_states).unflatten(2, (attn.heads, -1))
        query, key = rotate(query, *rotary_emb), rotate(key, *rotary_emb)
        output = dispatch_attention_fn(query, key, value, attn_mask=attention_mask)
        return attn.to_out[1](attn.to_out[0](output.flatten(2, 3).type_as(query)))


def use_fast_rotary(transformer: nn.Module) -> None:
    """Put FastRotaryProcessor into every self-attention of a Wan transformer."""
    for block in transformer.blocks:  # type: ignore[union-attr]
        block.attn1.set_processor(FastRotaryProcessor())
