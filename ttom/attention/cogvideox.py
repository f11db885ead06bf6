"""Object maps from CogVideoX's joint attention (attn1). Only this file knows its processor."""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor
from torch.nn import functional

from ttom.attention.bias import TokenBias, biased_attention
from ttom.attention.capture import MapReader
from ttom.attention.joint import joint_object_attention


class CaptureProcessor(MapReader):
    """CogVideoX's joint attention processor that also reads the object maps ``(B, N, S)``.

    Its output equals ``CogVideoXAttnProcessor2_0``'s bit for bit. The maps go to the observer, or without
    one are kept as ``maps`` until the next call. With ``stop`` it needs only query and key, and raises StopForward
    instead of attending.
    """

    @torch.compiler.disable  # even in a compiled block: it keeps maps, and may end the forward
    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        assert attention_mask is None, "CogVideoX's transformer passes no mask"
        length = encoder_hidden_states.shape[1]
        states = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key = (
            _rotated(norm(_heads(linear(states), attn.heads)), length, image_rotary_emb)
            for linear, norm in ((attn.to_q, attn.norm_q), (attn.to_k, attn.norm_k))
        )
        if self.tokens:
            self.read(joint_object_attention(query[:, :, length:], key, self.tokens))
        value = _heads(attn.to_v(states), attn.heads)
        if self.bias is None:
            output = functional.scaled_dot_product_attention(query, key, value)
        else:
            output = self._biased(query, key, value, self.bias, length)
        output = attn.to_out[1](attn.to_out[0](output.transpose(1, 2).flatten(2, 3)))
        return output[:, length:], output[:, :length]

    def _biased(self, query: Tensor, key: Tensor, value: Tensor, bias: TokenBias, length: int) -> Tensor:
        """``(B, h, J, d)`` each: the bias is on the scores of video queries for text keys; text comes first."""
        video = query.shape[2] - length
        rows = functional.pad(bias.rows(query.transpose(1, 2)), (0, 0, length, 0))
        columns = functional.pad(bias.tokens, (0, video))

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            query, key, value = (x.transpose(1, 2) for x in (query, key, value))
            return functional.scaled_dot_product_attention(query, key, value, scale=scale).transpose(1, 2)

        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return biased_attention(query, key, value, rows, columns, attend).transpose(1, 2)


def _heads(x: Tensor, heads: int) -> Tensor:
    """``(B, J, h d)`` -> ``(B, h, J, d)``."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _rotated(x: Tensor, length: int, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
    """Video tokens, which follow ``length`` text tokens, with their positions; the text has none."""
    if rotary is None:
        return x
    return torch.cat([x[:, :, :length], apply_rotary_emb(x[:, :, length:], rotary)], dim=2)
