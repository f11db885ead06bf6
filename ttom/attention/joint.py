"""Attention of video tokens to a few text tokens where text and video share one softmax, without the whole matrix.

Dimension letters: S video tokens (queries), J text and video tokens (keys), N objects, h heads, d channels a head;
others see ttom/types.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend
from torch.utils.checkpoint import checkpoint

WRITTEN_OUT = 2**23
"""Scores (over batch, heads, queries and keys) that may be in memory at once: 32 MiB in float32. Above it a CPU's
kernel is faster too (half the time at twice as many)."""


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
    """``log sum_J exp(q k^T / sqrt(d))`` of each query, with exact gradients, once differentiable.

    Few scores are written out at once. Many stay inside the attention kernel that torch takes for such tensors, if it
    is one of those in this file. Else (on a GPU in float32 or float64, or before Ampere) one part of the queries comes
    after another, computed anew in the backward.

    Args:
        query: ``(B, h, S, d)``.
        key: ``(B, h, J, d)``.

    Returns:
        ``(B, h, S)`` in float32, or float64 from float64.
    """
    row = query.shape[0] * query.shape[1] * key.shape[2]
    if row * query.shape[2] <= WRITTEN_OUT:
        return _written_out(_wide(query), _wide(key))
    kernel = _kernel(query, key)
    if kernel is not None:
        normaliser: Tensor = _LogSumExp.apply(query, key, kernel)
        return normaliser
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


class _Kernel(NamedTuple):
    """An attention kernel of torch.

    Attributes:
        forward: Takes query, key and value; gives the output, the log-sum-exp and what else the backward needs.
        backward: Takes the output's gradient, query, key, value, output, log-sum-exp and that; gives the gradients.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]


_aten = torch.ops.aten
_KERNELS = {  # by the tensors' device and torch's choice for them
    ("cpu", SDPBackend.FLASH_ATTENTION): _Kernel(
        _aten._scaled_dot_product_flash_attention_for_cpu,
        lambda *given: _aten._scaled_dot_product_flash_attention_for_cpu_backward(*given, 0.0, False),
    ),
    ("cuda", SDPBackend.FLASH_ATTENTION): _Kernel(
        lambda q, k, v: _aten._scaled_dot_product_flash_attention(q, k, v)[:8],
        lambda *given: _aten._scaled_dot_product_flash_attention_backward(*given[:10], 0.0, False, *given[10:]),
    ),
    ("cuda", SDPBackend.CUDNN_ATTENTION): _Kernel(
        lambda q, k, v: _aten._scaled_dot_product_cudnn_attention(q, k, v, None, True)[:8],
        lambda *given: _aten._scaled_dot_product_cudnn_attention_backward(
            *given[:6], *given[10:], None, *given[6:10], 0.0, False
        ),
    ),
}  # The memory-efficient kernel takes any output to lie as its own does and reads past one that does not.


def _kernel(query: Tensor, key: Tensor) -> _Kernel | None:
    device = query.device.type
    if device == "cuda" and query.shape[-1] % 8 != 0:  # torch widens these before it calls a kernel
        return None
    return _KERNELS.get((device, SDPBackend(torch._fused_sdp_choice(query, key, key))))


class _LogSumExp(torch.autograd.Function):
    """The log-sum-exp that attention kernels give beside their output, with the gradient that torch denies it.

    With shares P, a kernel's backward takes ``P * (dO V^T - rowsum(dO * O))`` for the gradient of the scores. That of
    the log-sum-exp is ``P * g``: the same if each value is 1 in the first channel and 0 in the others, dO is g there,
    and O is said to be 0. In half precision g may be too small a number, so it is divided by its scale, a power of two.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, kernel: _Kernel) -> Tensor:
        normaliser: Tensor
        _, normaliser, *ctx.extra = kernel.forward(query, key, _first_channel(key, 1))
        ctx.kernel = kernel
        ctx.save_for_backward(query, key, normaliser)
        return normaliser.reshape(*normaliser.shape[:3]).clone()  # cuDNN gives (B, h, S, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        query, key, normaliser = ctx.saved_tensors
        mantissa, exponent = gradient.abs().amax().frexp()
        scale = torch.ones_like(mantissa).ldexp(exponent)
        given = _first_channel(query, (gradient / scale).to(query.dtype))
        to_query, to_key, *_ = ctx.kernel.backward(
            given, query, key, _first_channel(key, 1), torch.zeros_like(query), normaliser, *ctx.extra
        )
        return to_query.mul_(scale), to_key.mul_(scale), None


def _first_channel(like: Tensor, value: Tensor | int) -> Tensor:
    """Zeros with ``value`` in the first channel."""
    filled = torch.zeros_like(like)
    filled[..., 0] = value
    return filled
