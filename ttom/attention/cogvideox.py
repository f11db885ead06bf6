"""CogVideoX's joint attention (attn1) with a bias, and object maps read from it. Only this file knows its processor."""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor
from torch.nn import functional

from ttom.attention.bias import TokenBias, biased_attention, widened
from ttom.attention.capture import MapReader
from ttom.attention.joint import joint_object_attention


class Processor(MapReader):
    """CogVideoX's joint attention processor, with a bias if there is one, that also reads object maps if told to.

    Without a bias its output equals ``CogVideoXAttnProcessor2_0``'s bit for bit. Maps ``(B, N, S)`` go to the observer,
    or without one are kept as ``maps`` until the next call. With ``stop`` it needs only query and key, and raises
    StopForward instead of attending.
    """

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
            self.read(self._maps(query, key, length))
        value = _heads(attn.to_v(states), attn.heads)
        if self.bias is None:
            output = functional.scaled_dot_product_attention(query, key, value)
        else:
            output = self._biased(query, key, value, self.bias, length)
        output = attn.to_out[1](attn.to_out[0](output.transpose(1, 2).flatten(2, 3)))
        return output[:, length:], output[:, :length]

    def _biased(self, query: Tensor, key: Tensor, value: Tensor, bias: TokenBias, length: int) -> Tensor:
        """Attention of ``(B, h, J, d)`` each, text first, where video queries have a bias for text keys."""
        columns = functional.pad(bias.tokens, (0, query.shape[2] - length))

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            query, key, value = (x.transpose(1, 2) for x in (query, key, value))
            return functional.scaled_dot_product_attention(query, key, value, scale=scale).transpose(1, 2)

        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        rows = functional.pad(bias.rows(query), (0, 0, length, 0))
        return biased_attention(query, key, value, rows, columns, attend).transpose(1, 2)

    def _maps(self, query: Tensor, key: Tensor, length: int) -> Tensor:
        query = query[:, :, length:]
        if self.bias is None or not self.bias.in_maps:
            return joint_object_attention(query, key, self.tokens)
        query, key = query.transpose(1, 2), key.transpose(1, 2)
        columns = functional.pad(self.bias.tokens, (0, query.shape[1]))
        query, key, scale = widened(query, key, self.bias.rows(query), columns)
        return joint_object_attention(query.transpose(1, 2), key.transpose(1, 2), self.tokens, scale)


class CaptureProcessor(Processor):
    """The one that reads maps. Even a compiled block calls it as it is: it keeps maps, and may end the forward."""

    __call__ = torch.compiler.disable(Processor.__call__)


def _heads(x: Tensor, heads: int) -> Tensor:
    """``(B, J, h d)`` -> ``(B, h, J, d)``."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _rotated(x: Tensor, length: int, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
    """Video tokens, which follow ``length`` text tokens, with their positions; the text has none."""
    if rotary is None:
        return x
    return torch.cat([x[:, :, :length], apply_rotary_emb(x[:, :, length:], rotary)], dim=2)
