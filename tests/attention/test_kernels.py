"""The gate in front of torch's private attention kernels: where they cannot be trusted, the exact path takes over."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tests.attention.test_joint import brute_force, inputs, watched_backward, write_out
from ttom.attention import kernels
from ttom.attention.joint import joint_object_attention

TOKENS = [[1, 2, 6], [3], [3, 4]]


def maps_and_gradients(function, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    query, key = (x.requires_grad_() for x in inputs(dtype))
    maps = function(query, key, TOKENS)
    weights = torch.randn(maps.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(maps.dtype)
    return maps, *torch.autograd.grad((maps * weights).sum(), (query, key))


def assert_exact() -> None:
    for ours, theirs in zip(maps_and_gradients(joint_object_attention), maps_and_gradients(brute_force), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_installed_version_uses_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.kernel_for(*inputs()) is not None
    calls = watched_backward(monkeypatch)
    write_out(monkeypatch, 0)
    assert_exact()
    assert len(calls) == 1


@pytest.mark.parametrize("version", ["2.14.0", "2.99.1+cu130", "3.0.0a0"])
def test_an_untested_version_takes_the_exact_path(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    kernels._kernels.cache_clear()
    monkeypatch.setattr(torch, "__version__", version)
    write_out(monkeypatch, 500)
    with pytest.warns(UserWarning, match=f"torch {version}".replace("+", r"\+")):
        assert kernels.kernel_for(*inputs()) is None
    assert_exact()


def test_an_operator_that_is_gone_takes_the_exact_path(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels._kernels.cache_clear()
    write_out(monkeypatch, 500)
    with monkeypatch.context() as patch:
        patch.setattr(kernels.torch, "ops", SimpleNamespace(aten=SimpleNamespace()))
        with pytest.warns(UserWarning, match="exact but slower"):
            assert kernels._kernels(torch.__version__) == {}
    assert_exact()
    kernels._kernels.cache_clear()


def test_the_exact_path_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """As near to float64 as the kernel's own."""
    write_out(monkeypatch, 500, kernel=False)
    exact = maps_and_gradients(brute_force)
    for ours, theirs in zip(maps_and_gradients(joint_object_attention, torch.bfloat16), exact, strict=True):
        assert ((ours.double() - theirs).norm() / theirs.norm()).item() < 2e-2
