"""Attention of video tokens to a few text tokens where text and video share one softmax, without the full matrix.

Dimension letters: S video tokens (queries), J text and video tokens (keys), N objects, h heads, d channels a head;
others see ttom/types.py.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ttom.attention.kernels import KernelLogSumExp, kernel_for

WRITTEN_OUT = 2**23
"""Maximum number of scores (over batch, heads, queries and keys) that are stored at once: 32 MiB in float32. Above it
a CPU's kernel is faster too (half the time at twice as many)."""


def joint_object_attention(
    query: Float[Tensor, "B h S d"], key: Float[Tensor, "B h J d"], tokens: list[list[int]], scale: float | None = None
) -> Float[Tensor, "B N S"]:
    """Share of each video token's attention that falls on each object's text tokens, where keys are text and video.

    Entry ``[b, n, s]`` = mean over heads and over ``tokens[n]`` of ``softmax_J(scale q k^T)``: as
    ``object_attention``, except that the softmax includes the attention between video tokens. The softmax of a few keys
    needs only their scores and the log-sum-exp over all keys. Differentiable with respect to query and key, including
    the log-sum-exp.

    Args:
        query: ``(B, h, S, d)`` of the video tokens, normalized and rotated as in the block.
        key: ``(B, h, J, d)`` of all tokens, text first.
        tokens: For each of the N objects, the positions of its text tokens, at least one.
        scale: 1 / sqrt(d) if None.

    Returns:
        ``(B, N, S)`` in float32, or float64 from float64.
    """
    normalizer = log_sum_exp(query, key, scale)
    chosen = sorted({position for positions in tokens for position in positions})
    scores = _scores(_wide(query), _wide(key[:, :, chosen]), scale)
    shares = (scores - normalizer[..., None]).exp().mean(dim=1)  # (B, S, chosen)
    columns = [[chosen.index(position) for position in positions] for positions in tokens]
    return torch.stack([shares[..., column].mean(dim=-1) for column in columns], dim=1)


def log_sum_exp(
    query: Float[Tensor, "B h S d"], key: Float[Tensor, "B h J d"], scale: float | None = None
) -> Float[Tensor, "B h S"]:
    """``log sum_J exp(scale q k^T)`` of each query, with exact gradients, once differentiable.

    Few scores are written out at once. Many stay inside the attention kernel that torch takes for such tensors, if it
    is one of those in kernels.py. Else (on a GPU in float32 or float64, before Ampere, or with a torch version that was
    not tested) the queries are processed in parts, which are recomputed in the backward pass.

    Args:
        query: ``(B, h, S, d)``.
        key: ``(B, h, J, d)``.
        scale: 1 / sqrt(d) if None.

    Returns:
        ``(B, h, S)`` in float32, or float64 from float64.
    """
    row = query.shape[0] * query.shape[1] * key.shape[2]
    if row * query.shape[2] <= WRITTEN_OUT:
        return _written_out(_wide(query), _wide(key), scale)
    kernel = kernel_for(query, key)
    if kernel is not None:
        normalizer: Tensor = KernelLogSumExp.apply(query, key, kernel, scale)
        return normalizer
    key = _wide(key)
    parts = _wide(query).split(max(WRITTEN_OUT // row, 1), dim=2)
    done: list[Any] = [
        checkpoint(_written_out, part, key, scale, use_reentrant=False, preserve_rng_state=False) for part in parts
    ]
    return torch.cat(done, dim=2)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


def _scores(query: Tensor, key: Tensor, scale: float | None) -> Tensor:
    return query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)


def _written_out(query: Tensor, key: Tensor, scale: float | None) -> Tensor:
    return _scores(query, key, scale).logsumexp(dim=-1)
