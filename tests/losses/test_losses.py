"""Losses against scipy and explicit sums; gradients where maps are 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from ttom.errors import UserError
from ttom.losses import LOSSES, alignment_loss
from ttom.types import ObjectMasks

K, N, F, H, W = 2, 3, 4, 5, 6


def _case(seed: int = 0) -> tuple[Tensor, ObjectMasks]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(K, N, F, H, W, generator=generator) * 1e-3
    masks = torch.rand(N, F, H, W, generator=generator)
    masks[:, :, 0] = 0
    masks = masks / masks.sum(dim=(2, 3), keepdim=True)
    visible = torch.ones(N, F, dtype=torch.bool)
    visible[1, 2:] = False
    return maps, ObjectMasks(torch.where(visible[..., None, None], masks, 0.0), visible)


def _mean_over_visible(values: np.ndarray, visible: Tensor) -> float:
    picked = [values[k, n, f] for k in range(K) for n in range(N) for f in range(F) if visible[n, f]]
    return float(np.mean(picked))


def test_jsd_equals_scipy() -> None:
    maps, masks = _case()
    maps[0, 0, 0, 1] = 0
    values = np.zeros((K, N, F))
    for k in range(K):
        for n in range(N):
            for f in range(F):
                if masks.visible[n, f]:
                    p, q = maps[k, n, f].double().flatten().numpy(), masks.masks[n, f].double().flatten().numpy()
                    values[k, n, f] = jensenshannon(p, q) ** 2
    assert alignment_loss("jsd", maps, masks).item() == pytest.approx(
        _mean_over_visible(values, masks.visible), rel=1e-5
    )
    assert alignment_loss("jsd", maps.double(), masks).dtype == torch.float64


def test_jsd_bounds() -> None:
    _, masks = _case()
    same = masks.masks.expand(K, N, F, H, W)
    assert alignment_loss("jsd", same, masks).item() == pytest.approx(0, abs=1e-6)
    apart = torch.zeros(K, N, F, H, W)
    apart[..., 0, :] = 1  # the masks are 0 in the first row
    assert alignment_loss("jsd", apart, masks).item() == pytest.approx(math.log(2), rel=1e-5)


def test_bce_equals_an_explicit_sum() -> None:
    maps, masks = _case()
    values = np.zeros((K, N, F))
    for k in range(K):
        for n in range(N):
            for f in range(F):
                if masks.visible[n, f]:
                    p, t = maps[k, n, f] / maps[k, n, f].max(), masks.masks[n, f] / masks.masks[n, f].max()
                    cells = [
                        -(y * math.log(x + 1e-3) + (1 - y) * math.log(1 - x + 1e-3))
                        for x, y in zip(p.flatten().tolist(), t.flatten().tolist(), strict=True)
                    ]
                    values[k, n, f] = np.mean(cells)
    assert alignment_loss("bce", maps, masks).item() == pytest.approx(
        _mean_over_visible(values, masks.visible), rel=1e-4
    )


def test_center_of_mass_of_two_points() -> None:
    maps, masks = torch.zeros(1, 1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    maps[0, 0, 0, 2, 3] = 7.0
    masks[0, 0, 6, 8] = 1.0
    loss = alignment_loss("center_of_mass", maps, ObjectMasks(masks, torch.ones(1, 1, dtype=torch.bool)))
    assert loss.item() == pytest.approx(0.5**2 + 0.4**2)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["all zero", "one frame zero", "one hot", "tiny", "half precision"])
def test_gradients_are_finite(name: str, kind: str) -> None:
    maps, masks = _case(1)
    if kind == "all zero":
        maps = torch.zeros_like(maps)
    elif kind == "one frame zero":
        maps[:, :, 0] = 0
    elif kind == "one hot":
        maps = torch.zeros_like(maps)
        maps[..., 2, 2] = 1
    elif kind == "tiny":
        maps = maps * 1e-30
    else:
        maps = maps.bfloat16()
    maps.requires_grad_(True)
    loss = alignment_loss(name, maps, masks)
    loss.backward()
    assert torch.isfinite(loss)
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_invisible_frames_count_for_nothing(name: str) -> None:
    maps, masks = _case(2)
    changed = maps.clone()
    changed[:, 1, 2:] = 5.0
    assert torch.equal(alignment_loss(name, maps, masks), alignment_loss(name, changed, masks))
    changed.requires_grad_(True)
    alignment_loss(name, changed, masks).backward()
    assert changed.grad is not None
    assert not changed.grad[:, 1, 2:].any()
    assert changed.grad[:, 0].any()


@pytest.mark.parametrize("name", LOSSES)
def test_descent_moves_the_map_onto_its_mask(name: str) -> None:
    _, masks = _case(3)
    logits = torch.zeros(1, N, F, H, W, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    first = None
    for _ in range(60):
        loss = alignment_loss(name, logits.flatten(3).softmax(-1).view_as(logits), masks)
        first = first if first is not None else loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first


def test_wrong_use_is_refused() -> None:
    maps, masks = _case()
    with pytest.raises(UserError, match="unknown loss 'mse'"):
        alignment_loss("mse", maps, masks)
    with pytest.raises(ValueError, match="do not fit masks"):
        alignment_loss("jsd", maps[:, :2], masks)
    with pytest.raises(ValueError, match="no object is visible"):
        alignment_loss("jsd", maps, ObjectMasks(masks.masks, torch.zeros_like(masks.visible)))
