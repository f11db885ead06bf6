"""Maps from joint attention against a softmax over all keys that is written out: values, gradients, memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ttom.attention import joint, kernels
from ttom.attention.joint import joint_object_attention, log_sum_exp

VIDEO, TEXT, HEADS, CHANNELS = 23, 7, 3, 8


def brute_force(query: Tensor, key: Tensor, tokens: list[list[int]], scale: float | None = None) -> Tensor:
    """(B, N, S): the whole softmax over text and video, then its mean over heads and the object's tokens."""
    scores = torch.einsum("bhsd,bhjd->bhsj", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    shares = scores.softmax(-1).mean(1)
    return torch.stack([shares[..., positions].mean(-1) for positions in tokens], dim=1)


def inputs(dtype: torch.dtype = torch.float64, video: int = VIDEO, text: int = TEXT) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, HEADS, video, CHANNELS), (2, HEADS, text + video, CHANNELS))
    query, key = (2 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return query.to(dtype), key.to(dtype)


@pytest.mark.parametrize("form", ["at once", "kernel", "one by one", "in parts"])
@pytest.mark.parametrize(("tokens", "scale"), [([[0]], None), ([[1, 2, 6], [3], [3, 4]], None), ([[1]], 0.2)])
def test_maps_and_gradients_equal_brute_force(
    monkeypatch: pytest.MonkeyPatch, tokens: list[list[int]], scale: float | None, form: str
) -> None:
    """However many scores are written out; the last of some parts is smaller."""
    calls = watched_backward(monkeypatch)
    if form != "at once":
        row = 2 * HEADS * (TEXT + VIDEO)
        write_out(monkeypatch, {"kernel": 0, "one by one": row, "in parts": 5 * row}[form], kernel=form == "kernel")
    query, key = inputs()
    weights = torch.randn(2, len(tokens), VIDEO, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (joint_object_attention, brute_force):
        q, k = query.clone().requires_grad_(), key.clone().requires_grad_()
        maps = function(q, k, tokens, scale)
        results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    # The text's keys that no phrase names, and the video's, count through the normalizer alone.
    assert results[0][2][:, :, TEXT:].abs().max() > 1e-4
    assert len(calls) == (form == "kernel")


def watched_backward(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for each backward of the CPU's kernel from here on."""
    calls: list[None] = []
    ours = ("cpu", SDPBackend.FLASH_ATTENTION)
    known = kernels._kernels(torch.__version__)
    kernel = known[ours]
    watched = kernel._replace(backward=lambda *given, **more: (calls.append(None), kernel.backward(*given, **more))[1])
    monkeypatch.setitem(known, ours, watched)
    return calls


def write_out(monkeypatch: pytest.MonkeyPatch, scores: int, *, kernel: bool = True) -> None:
    """So many scores are written out at once from here on, and more come from a kernel or in parts."""
    monkeypatch.setattr(joint, "WRITTEN_OUT", scores)
    if not kernel:
        monkeypatch.setattr(joint, "kernel_for", lambda *_: None)


def test_gradients_of_the_normalizer_may_be_too_small_for_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the query are not, as its numbers are small and the keys' are large. And nothing stays nothing."""
    write_out(monkeypatch, 0)
    query, key = inputs(torch.float16)
    query, key = (query / 64).requires_grad_(), (key * 64).requires_grad_()
    given = -(2.0**-20) * torch.rand(2, HEADS, VIDEO, generator=torch.Generator().manual_seed(1))
    given[0, 0, 0] = 2.0**-38  # the largest, if signs counted
    assert ((given.half() - given).norm() / given.norm()).item() > 1e-2
    (ours,) = torch.autograd.grad(log_sum_exp(query, key), query, given)
    wide = query.detach().double().requires_grad_()
    normalizer = (wide @ key.detach().double().mT / CHANNELS**0.5).logsumexp(-1)
    (theirs,) = torch.autograd.grad(normalizer, wide, given.double())
    assert ((ours.double() - theirs).norm() / theirs.norm()).item() < 2e-3
    nothing = torch.autograd.grad(log_sum_exp(query, key), (query, key), torch.zeros_like(given))
    assert all((gradient == 0).all() for gradient in nothing)


def test_tensors_that_no_kernel_takes_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU channels that do not lie side by side."""
    write_out(monkeypatch, 0)
    query, key = (x.mT.contiguous().mT for x in inputs())
    torch.testing.assert_close(joint_object_attention(query, key, [[1, 2]]), brute_force(query, key, [[1, 2]]))


def test_shares_of_all_keys_sum_to_one_and_of_the_text_to_less() -> None:
    query, key = inputs(torch.float32)
    maps = joint_object_attention(query, key, [[i] for i in range(TEXT + VIDEO)])
    torch.testing.assert_close(maps.sum(1), torch.ones(2, VIDEO))
    assert maps[:, :TEXT].sum(1).max() < 1


@pytest.mark.parametrize(("kernel", "tolerance"), [(False, 1e-5), (True, 1e-4)])
def test_low_precision_gives_float32_maps_near_the_exact_ones(
    monkeypatch: pytest.MonkeyPatch, kernel: bool, tolerance: float
) -> None:
    """The CPU's kernel rounds the shares that it sums."""
    if kernel:
        write_out(monkeypatch, 0)
    query, key = inputs(torch.bfloat16)
    maps = joint_object_attention(query, key, [[1, 2], [3]])
    assert maps.dtype == torch.float32
    exact = brute_force(query.double(), key.double(), [[1, 2], [3]])
    torch.testing.assert_close(maps.double(), exact, rtol=tolerance, atol=1e-7)


def test_large_scores_do_not_overflow() -> None:
    query, key = inputs(torch.float32)
    maps = joint_object_attention(query * 300, key * 300, [[0], [1]])
    assert maps.isfinite().all() and maps.max() > 0.3


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "in parts"])
def test_the_whole_matrix_is_never_written(monkeypatch: pytest.MonkeyPatch, kernel: bool) -> None:
    """No tensor of the forward or the backward has more entries than the limit says, nor is more kept between them."""
    video, text, limit = 600, 40, 40_000
    write_out(monkeypatch, limit, kernel=kernel)
    sizes: list[int] = []
    kept: dict[int, int] = {}

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))
            return out

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // tensor.itemsize
        return tensor

    query, key = (x.requires_grad_() for x in inputs(torch.float32, video, text))
    with Watch():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            maps = joint_object_attention(query, key, [[3, 4], [9]])
        maps.sum().backward()
    whole = 2 * HEADS * video * (text + video)
    assert limit / 2 < max(sizes) <= limit < whole / 50
    assert query.numel() < sum(kept.values()) < whole / 8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"),
    [
        (SDPBackend.EFFICIENT_ATTENTION, torch.float32, 1e-4),
        (SDPBackend.EFFICIENT_ATTENTION, torch.bfloat16, 1e-2),
        (SDPBackend.FLASH_ATTENTION, torch.bfloat16, 1e-2),
        (SDPBackend.FLASH_ATTENTION, torch.float16, 2e-3),
        (SDPBackend.CUDNN_ATTENTION, torch.bfloat16, 1e-2),
        (SDPBackend.CUDNN_ATTENTION, torch.float16, 2e-3),
        (SDPBackend.MATH, torch.float32, 1e-4),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_every_back_end_equals_brute_force(
    monkeypatch: pytest.MonkeyPatch, backend: SDPBackend, dtype: torch.dtype, tolerance: float
) -> None:
    """With queries that are a part of a longer tensor, as in the model."""
    write_out(monkeypatch, 0)
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, 357, 64, generator=generator).to("cuda", dtype) for _ in range(2))
    tokens, results = [[1, 2, 6], [3]], []
    weights = torch.randn(1, 2, 300, generator=generator).cuda()
    with sdpa_kernel(backend):
        assert torch._fused_sdp_choice(query[:, :, 57:], key, key) == backend.value
        for function, kind in ((joint_object_attention, dtype), (brute_force, torch.float64)):
            q, k = (x.to(kind).requires_grad_() for x in (query, key))
            maps = function(q[:, :, 57:], k, tokens, 0.2)
            results.append((maps, *torch.autograd.grad((maps * weights).sum(), (q, k))))
    for ours, theirs in zip(*results, strict=True):
        assert ((ours.double() - theirs).norm() / theirs.norm()).item() < tolerance
