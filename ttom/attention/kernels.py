"""The log-sum-exp of attention scores from torch's own attention kernels, with gradients.

The kernels compute it beside their output, but only torch's private operators hand it out, so this file is the one
place that calls them. It does so for the torch versions it was tested with; for others `kernel_for` gives None, and
`ttom.attention.joint` computes the scores in parts: exact, without the whole matrix, but slower. That is plain torch,
the same on every device. flex_attention, which is public and gives the log-sum-exp too, is no substitute: it has no
backward on a CPU (torch 2.13), without torch.compile it writes out the matrix, and with it the first call takes 7 s.

Dimension letters: see ttom/attention/joint.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend

TESTED = ((2, 11), (2, 12), (2, 13))
"""Versions of torch in which the private operators take and return what `_kernels` expects."""


class Kernel(NamedTuple):
    """An attention kernel of torch.

    Attributes:
        forward: Takes query, key and value, and ``scale``; gives the output, the log-sum-exp and what else the backward
            needs.
        backward: Takes the output's gradient, query, key, value, output, log-sum-exp and that, and ``scale``; gives the
            gradients.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]


def kernel_for(query: Float[Tensor, "B h S d"], key: Float[Tensor, "B h J d"]) -> Kernel | None:
    """The kernel that torch chooses for these tensors; None if it is not one of ours, or torch is not a tested one."""
    device = query.device.type
    if device == "cuda" and query.shape[-1] % 8 != 0:  # torch widens these before it calls a kernel
        return None
    kernels = _kernels(torch.__version__)
    return kernels.get((device, SDPBackend(torch._fused_sdp_choice(query, key, key)))) if kernels else None


@cache
def _kernels(version: str) -> dict[tuple[str, SDPBackend], Kernel]:
    """Our kernels by the tensors' device and torch's choice for them; none where torch is another one.

    The memory-efficient kernel is left out: it takes any output to lie in memory as its own does, and reads past one
    that does not.
    """
    stems = ("flash_attention_for_cpu", "flash_attention", "cudnn_attention")
    names = [f"_scaled_dot_product_{stem}{part}" for stem in stems for part in ("", "_backward")]
    operators = [getattr(torch.ops.aten, name, None) for name in names]
    tested = tuple(map(int, version.split(".")[:2])) in TESTED
    if not tested or None in operators:
        warnings.warn(
            f"ttom has not been tested with the attention kernels of torch {version}; maps of joint attention are "
            "computed in parts, which is exact but slower",
            stacklevel=2,
        )
        return {}
    cpu, cpu_backward, flash, flash_backward, cudnn, cudnn_backward = map(_callable, operators)
    return {
        ("cpu", SDPBackend.FLASH_ATTENTION): Kernel(
            cpu, lambda *given, scale: cpu_backward(*given, 0.0, False, scale=scale)
        ),
        ("cuda", SDPBackend.FLASH_ATTENTION): Kernel(
            lambda q, k, v, scale: flash(q, k, v, scale=scale)[:8],
            lambda *given, scale: flash_backward(*given[:10], 0.0, False, *given[10:], scale=scale),
        ),
        ("cuda", SDPBackend.CUDNN_ATTENTION): Kernel(
            lambda q, k, v, scale: cudnn(q, k, v, None, True, scale=scale)[:8],
            lambda *given, scale: cudnn_backward(*given[:6], *given[10:], None, *given[6:10], 0.0, False, scale=scale),
        ),
    }


def _callable(operator: Any) -> Callable[..., Any]:
    call: Callable[..., Any] = operator
    return call


class KernelLogSumExp(torch.autograd.Function):
    """The log-sum-exp that attention kernels give beside their output, with the gradient that torch denies it.

    With shares P, a kernel's backward takes ``P * (dO V^T - rowsum(dO * O))`` for the gradient of the scores. That of
    the log-sum-exp is ``P * g``: the same if each value is 1 in the first channel and 0 in the others, dO is g there,
    and O is said to be 0. In half precision g may be too small a number, so it is divided by its scale, a power of two.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, kernel: Kernel, scale: float | None) -> Tensor:
        normalizer: Tensor
        _, normalizer, *ctx.extra = kernel.forward(query, key, _first_channel(key, 1), scale=scale)
        ctx.kernel, ctx.scale = kernel, scale
        ctx.save_for_backward(query, key, normalizer)
        return normalizer.reshape(*normalizer.shape[:3]).clone()  # cuDNN gives (B, h, S, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        query, key, normalizer = ctx.saved_tensors
        mantissa, exponent = gradient.abs().amax().frexp()
        scale = torch.ones_like(mantissa).ldexp(exponent)
        given = _first_channel(query, (gradient / scale).to(query.dtype))
        to_query, to_key, *_ = ctx.kernel.backward(
            given, query, key, _first_channel(key, 1), torch.zeros_like(query), normalizer, *ctx.extra, scale=ctx.scale
        )
        return to_query.mul_(scale), to_key.mul_(scale), None, None


def _first_channel(like: Tensor, value: Tensor | int) -> Tensor:
    """Zeros with ``value`` in the first channel."""
    filled = torch.zeros_like(like)
    filled[..., 0] = value
    return filled
