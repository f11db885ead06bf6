"""Object maps from Wan's cross-attention (attn2). Only this file knows its processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn

from ttom.attention.maps import object_attention


class StopForward(Exception):
    """Raised inside the last target block once its map is read: nothing after it feeds the loss."""


class CaptureProcessor:
    """Wan's cross-attention processor that also stores the object maps ``(B, N, S)`` of its last call.

    Its output equals ``WanAttnProcessor``'s bit for bit (text only: image tokens of I2V models are not handled).
    With ``stop`` it needs only query and key and raises StopForward instead of attending.
    """

    _parallel_config = None

    def __init__(self, tokens: list[list[int]], *, stop: bool, attention_backend: object = None) -> None:
        self.tokens = tokens
        self.stop = stop
        self._attention_backend = attention_backend
        self.maps: Tensor | None = None

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
        self.maps = object_attention(query, key, self.tokens)
        if self.stop:
            raise StopForward
        value = attn.to_v(encoder_hidden_states).unflatten(2, (attn.heads, -1))
        output = dispatch_attention_fn(query, key, value, attn_mask=attention_mask, backend=self._attention_backend)
        return attn.to_out[1](attn.to_out[0](output.flatten(2, 3).type_as(query)))


@contextmanager
def captured_maps(
    transformer: nn.Module, blocks: tuple[int, ...], tokens: list[list[int]]
) -> Iterator[dict[int, CaptureProcessor]]:
    """Within the context a forward of the transformer reads the maps of ``blocks`` and ends after the last of them.

    The forward is the stock one, ended by an exception that this context swallows: hooks (offloading, LoRA scale,
    gradient checkpointing) keep working and no copy of diffusers' code can fall behind it. The original processors
    are back when the context ends, however it ends. With gradient checkpointing the backward must run inside.

    Yields:
        The processor of each target block; after the forward its ``maps`` are ``(B, N, S)``.
    """
    modules: dict[int, Any] = {b: transformer.get_submodule(f"blocks.{b}.attn2") for b in blocks}
    originals = {b: module.processor for b, module in modules.items()}
    processors = {
        b: CaptureProcessor(tokens, stop=b == max(blocks), attention_backend=original._attention_backend)
        for b, original in originals.items()
    }
    try:
        for b, module in modules.items():
            module.processor = processors[b]
        yield processors
    except StopForward:
        pass
    finally:
        for b, module in modules.items():
            module.processor = originals[b]
