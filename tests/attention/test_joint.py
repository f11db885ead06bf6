"""Maps from joint attention against a softmax over all keys that is written out: values, gradients, memory."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch.nn.attention import flex_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ttom.attention import joint
from ttom.attention.joint import joint_object_attention

VIDEO, TEXT, HEADS, CHANNELS = 23, 7, 3, 4


def brute_force(query: Tensor, key: Tensor, tokens: list[list[int]]) -> Tensor:
    """(B, N, S): the whole softmax over text and video, then its mean over heads and the object's tokens."""
    scores = torch.einsum("bhsd,bhjd->bhsj", query, key) / query.shape[-1] ** 0.5
    shares = scores.softmax(-1).mean(1)
    return torch.stack([shares[..., positions].mean(-1) for positions in tokens], dim=1)


def inputs(dtype: torch.dtype = torch.float64, video: int = VIDEO, text: int = TEXT) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, HEADS, video, CHANNELS), (2, HEADS, text + video, CHANNELS))
    query, key = (2 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return query.to(dtype), key.to(dtype)


@pytest.mark.parametrize("rows", [1, 5, 23])
@pytest.mark.parametrize("tokens", [[[0]], [[1, 2, 6], [3], [3, 4]]])
def test_maps_and_gradients_equal_brute_force(
    monkeypatch: pytest.MonkeyPatch, tokens: list[list[int]], rows: int
) -> None:
    """With one query at a time, with a last part that is smaller, and with all queries at once."""
    monkeypatch.setattr(joint, "WRITTEN_OUT", rows * 2 * HEADS * (TEXT + VIDEO))
    query, key = inputs()
    weights = torch.randn(2, len(tokens), VIDEO, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (joint_object_attention, brute_force):
        q, k = query.clone().requires_grad_(), key.clone().requires_grad_()
        maps = function(q, k, tokens)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    # The text's keys that no phrase names, and the video's, count through the normaliser alone.
    assert results[0][2][:, :, TEXT:].abs().max() > 1e-4


def test_shares_of_all_keys_sum_to_one_and_of_the_text_to_less() -> None:
    query, key = inputs(torch.float32)
    maps = joint_object_attention(query, key, [[i] for i in range(TEXT + VIDEO)])
    torch.testing.assert_close(maps.sum(1), torch.ones(2, VIDEO))
    assert maps[:, :TEXT].sum(1).max() < 1


def test_low_precision_gives_float32_maps_near_the_exact_ones() -> None:
    query, key = inputs(torch.bfloat16)
    maps = joint_object_attention(query, key, [[1, 2], [3]])
    assert maps.dtype == torch.float32
    exact = brute_force(query.double(), key.double(), [[1, 2], [3]])
    torch.testing.assert_close(maps.double(), exact, rtol=1e-5, atol=1e-7)


def test_large_scores_do_not_overflow() -> None:
    query, key = inputs(torch.float32)
    maps = joint_object_attention(query * 300, key * 300, [[0], [1]])
    assert maps.isfinite().all() and maps.max() > 0.3


def test_the_whole_matrix_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of the forward or the backward has as many entries as the limit says."""
    video, text, limit = 600, 40, 40_000
    monkeypatch.setattr(joint, "WRITTEN_OUT", limit)
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))
            return out

    query, key = (x.requires_grad_() for x in inputs(torch.float32, video, text))
    with Watch():
        joint_object_attention(query, key, [[3, 4], [9]]).sum().backward()
    assert limit / 2 < max(sizes) <= limit < 2 * HEADS * video * (text + video) / 50


def test_the_fused_form_is_differentiable_as_the_compiler_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs handed to the compiler, run without their kernels, which need a GPU.

    The backward kernel takes a gradient of the attention output too, and None is none.
    """
    backward: list[torch.fx.Node] = []

    def compiler(graph: torch.fx.GraphModule, _: object):
        backward.extend(node for node in graph.graph.nodes if "flex_attention_backward" in str(node.target))
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=compiler, bw_compiler=compiler)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    fused = joint._fused.__wrapped__()
    results = []
    for function in (fused, lambda q, k: (q @ k.mT / q.shape[-1] ** 0.5).logsumexp(-1)):
        q, k = (x.requires_grad_() for x in inputs(torch.float32))
        normaliser = function(q, k)
        results.append((normaliser, *torch.autograd.grad(normaliser.square().sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    (node,) = backward
    assert node.args[5] is not None and node.args[6] is not None  # gradients of the output and of the log-sum-exp


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_the_fused_kernel_equals_brute_force(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, tolerance: float
) -> None:
    monkeypatch.setattr(joint, "WRITTEN_OUT", 0)
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, n, 64, generator=generator).to("cuda", dtype) for n in (300, 357))
    tokens, results = [[1, 2, 6], [3]], []
    weights = torch.randn(1, 2, 300, generator=generator).cuda()
    for function, kind in ((joint_object_attention, dtype), (brute_force, torch.float64)):
        q, k = (x.to(kind).requires_grad_() for x in (query, key))
        maps = function(q, k, tokens)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours.double() - theirs).norm() / theirs.norm()).item() < tolerance
