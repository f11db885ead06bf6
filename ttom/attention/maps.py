"""Attention to a few text tokens without the full (video x text) matrix.

Dimension letters: S video tokens, L text tokens, N objects, h heads, d channels a head; others see ttom/types.py.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def object_attention(
    query: Float[Tensor, "B S h d"], key: Float[Tensor, "B L h d"], tokens: list[list[int]], scale: float | None = None
) -> Float[Tensor, "B N S"]:
    """Share of each video token's attention that falls on each object's text tokens.

    Entry ``[b, n, s]`` = mean over heads and over ``tokens[n]`` of ``softmax_L(scale q k^T)``. A
    second attention call computes it, whose values are one-hot columns, one column per object: any fused kernel can do
    it, and the (S x L) matrix is never written. Differentiable with respect to query and key.

    Args:
        query: ``(B, S, h, d)``, normalized as in the block.
        key: ``(B, L, h, d)``, of all text tokens, including padding (the model attends to it too).
        tokens: For each of the N objects, the positions of its text tokens, at least one.
        scale: 1 / sqrt(d) if None.

    Returns:
        ``(B, N, S)`` in float32.
    """
    batch, length, heads, channels = key.shape
    # Flash kernels take values only as wide as the keys; unused columns stay 0. The weight 1/len(tokens) of the mean is
    # applied afterwards in float32: unlike 1, 1/3 is no bfloat16 number.
    columns = key.new_zeros(length, max(channels, len(tokens)))
    for n, positions in enumerate(tokens):
        columns[positions, n] = 1
    values = columns.expand(batch, heads, *columns.shape).contiguous()  # cuDNN's kernels may refuse strides of 0
    shares = functional.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), values, scale=scale)
    counts = torch.tensor([len(positions) for positions in tokens], device=key.device)
    return (shares[..., : len(tokens)].float().mean(dim=1) / counts).transpose(1, 2)
