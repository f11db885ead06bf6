"""Attention of video tokens to a few text tokens where text and video share one softmax, without the whole matrix.

Dimension letters: S video tokens (queries), J text and video tokens (keys), N objects, h heads, d channels a head;
others see ttom/types.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

WRITTEN_OUT = 2**24
"""Scores (over batch, heads, queries and keys) that may be in memory at once: 64 MiB in float32."""


def joint_object_attention(query: Tensor, key: Tensor, tokens: list[list[int]]) -> Tensor:
    """Share of each video token's attention that falls on each object's text tokens, where keys are text and video.

    Entry ``[b, n, s]`` = mean over heads and over ``tokens[n]`` of ``softmax_J(q k^T / sqrt(d))``: as
    ``object_attention``, but what video tokens give to each other counts in the softmax too. The softmax of a few keys
    needs only their scores and the log-sum-exp over all keys. Differentiable with respect to query and key, the
    log-sum-exp included.

    Args:
        query: ``(B, h, S, d)`` of the video tokens, normalised and rotated as the block does it.
        key: ``(B, h, J, d)`` of all tokens, text first.
        tokens: For each of the N objects, the positions of its text tokens, at least one.

    Returns:
        ``(B, N, S)`` in float32, or float64 from float64.
    """
    normaliser = log_sum_exp(query, key)
    chosen = sorted({position for positions in tokens for position in positions})
    scores = _scores(_wide(query), _wide(key[:, :, chosen]))
    shares = (scores - normaliser[..., None]).exp().mean(dim=1)  # (B, S, chosen)
    columns = [[chosen.index(position) for position in positions] for positions in tokens]
    return torch.stack([shares[..., column].mean(dim=-1) for column in columns], dim=1)


def log_sum_exp(query: Tensor, key: Tensor) -> Tensor:
    """``log sum_J exp(q k^T / sqrt(d))`` of each query, with exact gradients.

    Few scores are written out at once. Many stay inside the fused attention kernel on a GPU (with Triton, and not in
    float64); elsewhere one part of the queries comes after another, computed anew in the backward.

    Args:
        query: ``(B, h, S, d)``.
        key: ``(B, h, J, d)``.

    Returns:
        ``(B, h, S)`` in float32, or float64 from float64.
    """
    batch, heads, queries, _ = query.shape
    row = batch * heads * key.shape[2]
    if row * queries <= WRITTEN_OUT:
        return _written_out(_wide(query), _wide(key))
    if query.is_cuda and query.dtype != torch.float64 and find_spec("triton"):
        return _fused()(query, key)
    key = _wide(key)
    parts = _wide(query).split(max(WRITTEN_OUT // row, 1), dim=2)
    done: list[Any] = [
        checkpoint(_written_out, part, key, use_reentrant=False, preserve_rng_state=False) for part in parts
    ]
    return torch.cat(done, dim=2)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5


def _written_out(query: Tensor, key: Tensor) -> Tensor:
    return _scores(query, key).logsumexp(dim=-1)


@cache
def _fused() -> Callable[[Tensor, Tensor], Tensor]:
    """flex_attention, compiled: alone among the fused kernels it has a gradient through its log-sum-exp (GPU only)."""
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention

    def normaliser(query: Tensor, key: Tensor) -> Tensor:
        # Only the log-sum-exp is wanted, so any values do. But the compiled backward needs a gradient of the output
        # (torch 2.13 hands it None where nothing used the output, and fails): it gets zeros.
        output, extra = flex_attention(query, key, key.detach(), return_aux=AuxRequest(lse=True))
        assert extra.lse is not None  # it was requested
        return extra.lse + 0 * output.float().sum(dim=-1)

    return torch.compile(normaliser, dynamic=False)
