"""Wan's cross-attention (attn2) with a bias, and object maps read from it. Only this file knows its processor."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from ttom.attention.bias import biased_attention, widened
from ttom.attention.capture import MapReader
from ttom.attention.maps import object_attention


class Processor(MapReader):
    """Wan's cross-attention processor, with a bias if there is one, that also reads object maps if told to.

    Without a bias its output equals ``WanAttnProcessor``'s bit for bit (text only: image tokens of I2V models are not
    supported). Maps ``(B, N, S)`` go to the observer, or without one are kept as ``maps`` until the next call. With
    ``stop`` it needs only query and key, and raises StopForward instead of attending.
    """

    _parallel_config = None

    _attention_backend: object = None

    def adopt_settings(self, original: Any) -> None:
        super().adopt_settings(original)
        self._attention_backend = original._attention_backend

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(encoder_hidden_states)).unflatten(2, (attn.heads, -1))
        if self.tokens:
            self.read(self._maps(query, key))
        value = attn.to_v(encoder_hidden_states).unflatten(2, (attn.heads, -1))
        attend = partial(dispatch_attention_fn, attn_mask=attention_mask, backend=self._attention_backend)
        if self.bias is None:
            output = attend(query, key, value)
        else:
            rows, columns = self.bias.rows(query), self.bias.tokens
            output = biased_attention(query, key, value, rows, columns, attend)
        return attn.to_out[1](attn.to_out[0](output.flatten(2, 3).type_as(query)))

    def _maps(self, query: Tensor, key: Tensor) -> Tensor:
        if self.bias is None or not self.bias.in_maps:
            return object_attention(query, key, self.tokens)
        query, key, scale = widened(query, key, self.bias.rows(query), self.bias.tokens)
        return object_attention(query, key, self.tokens, scale)


class CaptureProcessor(Processor):
    """The one that reads maps. Even a compiled block calls it as it is: it keeps maps, and may end the forward."""

    __call__ = torch.compiler.disable(Processor.__call__)
