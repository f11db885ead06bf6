"""Object maps against a brute-force softmax: values, gradients, and the memory they take."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ttom.attention.maps import object_attention

TOKENS = [[1, 2], [5]]


def brute_force(query: torch.Tensor, key: torch.Tensor, tokens: list[list[int]]) -> torch.Tensor:
    """(B, N, S): the whole softmax written out, then its mean over heads and the object's tokens."""
    scores = torch.einsum("bshd,blhd->bhsl", query, key) / query.shape[-1] ** 0.5
    shares = scores.softmax(-1).mean(1)
    return torch.stack([shares[..., positions].mean(-1) for positions in tokens], dim=1)


@pytest.mark.parametrize("tokens", [[[0]], [[1, 2, 6], [3], [3, 4]], [[i % 7] for i in range(9)]])
def test_maps_and_gradients_equal_brute_force(monkeypatch: pytest.MonkeyPatch, tokens: list[list[int]]) -> None:
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # keep the float64 of this comparison
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, n, 3, 4, generator=generator, dtype=torch.float64) for n in (11, 7))
    weights = torch.randn(2, len(tokens), 11, generator=generator, dtype=torch.float64)
    results = []
    for function in (object_attention, brute_force):
        q, k = query.clone().requires_grad_(), key.clone().requires_grad_()
        maps = function(q, k, tokens)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_maps_of_all_tokens_sum_to_one() -> None:
    query, key = torch.randn(1, 5, 2, 8), torch.randn(1, 6, 2, 8)
    maps = object_attention(query, key, [[i] for i in range(6)])
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.sum(1), torch.ones(1, 5))


def test_the_whole_map_is_never_written() -> None:
    """No tensor of the forward or the backward has as many entries as the (video x text) matrix of one head."""
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))
            return out

    video, text, channels = 1000, 512, 16
    query, key = (torch.randn(1, n, 1, channels, requires_grad=True) for n in (video, text))
    with Watch():
        object_attention(query, key, [[3, 4], [9]]).sum().backward()
    assert sizes and max(sizes) < video * text / 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_the_gpus_kernels_equal_brute_force_at_wans_width(dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, n, 4, 128, generator=generator).to("cuda", dtype) for n in (1560, 512))
    weights = torch.randn(1, len(TOKENS), 1560, generator=generator).cuda()
    results = []
    for function, kind in ((object_attention, dtype), (brute_force, torch.float64)):
        q, k = (x.to(kind).requires_grad_() for x in (query, key))
        maps = function(q, k, TOKENS)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours.double() - theirs).norm() / theirs.norm()).item() < tolerance
