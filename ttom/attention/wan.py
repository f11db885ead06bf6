"""Object maps from Wan's cross-attention (attn2). Only this file knows its processor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn

from ttom.attention.capture import Prefix, StopForward, reading
from ttom.attention.maps import object_attention

ATTENTION = "blocks.{}.attn2"
"""A block's text-to-video attention in the transformer."""


class CaptureProcessor:
    """Wan's cross-attention processor that also reads the object maps ``(B, N, S)``.

    Its output equals ``WanAttnProcessor``'s bit for bit (text only: image tokens of I2V models are not handled). The
    maps go to ``see``, or without it are kept as ``maps`` until the next call. With ``stop`` it needs only query and
    key and raises StopForward instead of attending.
    """

    _parallel_config = None

    def __init__(
        self,
        tokens: list[list[int]],
        *,
        stop: bool,
        see: Callable[[Tensor], None] | None = None,
        attention_backend: object = None,
    ) -> None:
        self.tokens = tokens
        self.stop = stop
        self.see = see
        self._attention_backend = attention_backend
        self.maps: Tensor | None = None

    @torch.compiler.disable  # in a compiled block too: it keeps maps, and may end the forward
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
        maps = object_attention(query, key, self.tokens)
        if self.see is None:
            self.maps = maps
        else:
            self.see(maps)
        if self.stop:
            raise StopForward
        value = attn.to_v(encoder_hidden_states).unflatten(2, (attn.heads, -1))
        output = dispatch_attention_fn(query, key, value, attn_mask=attention_mask, backend=self._attention_backend)
        return attn.to_out[1](attn.to_out[0](output.flatten(2, 3).type_as(query)))


def captured_maps(
    transformer: nn.Module,
    blocks: tuple[int, ...],
    tokens: list[list[int]],
    *,
    prefix: Prefix | None = None,
    see: Callable[[int, Tensor], None] | None = None,
) -> AbstractContextManager[dict[int, CaptureProcessor]]:
    """Within the context a forward of the transformer reads the maps of ``blocks`` and ends after the last of them.

    With ``see`` it does not end there: each block's index and maps are handed over, and the output is the stock one.

    Returns:
        A context (see ``reading``) that gives the processor of each target block; after the forward its ``maps``
        are ``(B, N, S)``, unless ``see`` took them.
    """
    modules: dict[int, Any] = {b: transformer.get_submodule(ATTENTION.format(b)) for b in blocks}
    processors = {
        b: CaptureProcessor(
            tokens,
            stop=see is None and b == max(blocks),
            see=partial(see, b) if see is not None else None,
            attention_backend=module.processor._attention_backend,
        )
        for b, module in modules.items()
    }
    return reading(transformer, ATTENTION, processors, prefix)
