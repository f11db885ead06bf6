"""An additive bias on attention scores, exact and without a mask, so that flash kernels still do the attention.

The bias of N objects is a product of low rank: strengths (video tokens x objects) times token weights (objects x text
tokens). So it is added by N more columns of query and key. A dense mask would leave the flash path, which takes twice
the time at real size.

Dimension letters: S queries, J keys, L text tokens, N objects, h heads, d channels a head; others see ttom/types.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Attend = Callable[..., Tensor]
"""Attention of query, key and value ``(B, S or J, h, width)`` with a keyword ``scale``; gives ``(B, S, h, width)``."""


@dataclass(frozen=True)
class TokenBias:
    """What is added to the score of a video token for a text token: ``strength @ tokens``.

    Attributes:
        strength: ``(S, N)``: for each video token, in the order of the token grid, and each object. Positive values
            attract the object's words, negative ones repel them.
        tokens: ``(N, L)``: the weight of each text token for each object, mostly 0 or 1. Text tokens that objects share
            get the sum of their biases.
        in_maps: Whether the object maps that are read under the bias are those of the biased scores.
    """

    strength: Float[Tensor, "S N"]
    tokens: Float[Tensor, "N L"]
    in_maps: bool = True

    def rows(self, like: Float[Tensor, "B J h d"]) -> Float[Tensor, "B S N"]:
        """The strengths for a batch. Where guidance is batched, the prompt comes last, and others get no bias."""
        none = torch.zeros_like(self.strength).expand(like.shape[0] - 1, -1, -1)
        return torch.cat([none, self.strength[None]]).to(like)


def biased_attention(
    query: Float[Tensor, "B S h d"],
    key: Float[Tensor, "B J h d"],
    value: Float[Tensor, "B J h d"],
    rows: Float[Tensor, "B S N"],
    columns: Float[Tensor, "N J"],
    attend: Attend,
) -> Float[Tensor, "B S h d"]:
    """``softmax(q k^T / sqrt(d) + rows @ columns) v``, differentiable with respect to all inputs.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        rows: The bias's factor at each query.
        columns: Its factor at each key.
        attend: Any attention kernel. Its width is d + N, padded to a multiple of 8 as flash kernels need it.
    """
    wide_query, wide_key, scale = widened(query, key, rows, columns)
    channels = value.shape[-1]
    wide_value = functional.pad(value, (0, wide_key.shape[-1] - channels))  # flash kernels want it as wide as the keys
    output = attend(wide_query, wide_key, wide_value, scale=scale)
    return output[..., :channels]


def widened(
    query: Float[Tensor, "B S h d"],
    key: Float[Tensor, "B J h d"],
    rows: Float[Tensor, "B S N"],
    columns: Float[Tensor, "N J"],
) -> tuple[Tensor, Tensor, float]:
    """Query and key whose scores, multiplied by the scale that is returned, are the biased ones of these.

    Arguments as in `biased_attention`.
    """
    heads, channels = query.shape[2:]
    used = channels + columns.shape[0]
    width = used + -used % 8
    # The kernel's scale divides the bias by sqrt(d) too. The factor is on the key's side: there weights are mostly 0 or
    # 1, so strengths stay exact in bfloat16, and sqrt(d) is a power of two or close to a bfloat16 number.
    factors = rows, (columns.mT * channels**0.5).expand(key.shape[0], -1, -1)
    wide_query, wide_key = (
        functional.pad(
            torch.cat([side, factor.to(side)[:, :, None].expand(-1, -1, heads, -1)], dim=-1), (0, width - used)
        )
        for side, factor in zip((query, key), factors, strict=True)
    )
    return wide_query, wide_key, channels**-0.5
