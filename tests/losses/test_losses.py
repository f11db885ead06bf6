"""What holds for every loss: finite gradients, invisible frames, descent, wrong use."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from tests.losses.cases import F, H, N, W, random_case
from ttom.errors import UserError
from ttom.losses import LOSSES, alignment_loss
from ttom.losses.jsd import jsd
from ttom.types import ObjectMasks


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["all zero", "one frame zero", "one hot", "tiny", "half precision"])
def test_gradients_are_finite(name: str, kind: str) -> None:
    maps, masks = random_case(1)
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
    maps, masks = random_case(2)
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
    _, masks = random_case(3)
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


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_objects_weighs_each_object_alike(name: str) -> None:
    """The second object is seen in half of the frames; a third one in none is left out."""
    maps, masks = random_case(4)
    visible = masks.visible.clone()
    visible[2] = False
    masks = ObjectMasks(torch.where(visible[..., None, None], masks.masks, 0.0), visible)
    values = LOSSES[name](maps, masks.masks)
    means = [values[:, n, visible[n]].mean() for n in range(2)]
    over_objects = alignment_loss(name, maps, masks, "objects")
    torch.testing.assert_close(over_objects, (means[0] + means[1]) / 2)
    pooled = alignment_loss(name, maps, masks, "frames")
    torch.testing.assert_close(pooled, (F * means[0] + 2 * means[1]) / (F + 2))
    assert (over_objects - pooled).abs() > 1e-6


def test_wrong_use_is_refused() -> None:
    maps, masks = random_case()
    with pytest.raises(UserError, match="unknown loss 'mse'"):
        alignment_loss("mse", maps, masks)
    with pytest.raises(ValueError, match="do not fit masks"):
        alignment_loss("jsd", maps[:, :2], masks)
    with pytest.raises(ValueError, match="no object is visible"):
        alignment_loss("jsd", maps, ObjectMasks(masks.masks, torch.zeros_like(masks.visible)))


def test_shapes_are_checked_in_tests() -> None:
    """By beartype, from the signatures (see pyproject.toml)."""
    maps, masks = random_case()
    with pytest.raises(TypeCheckError):
        jsd(maps[:, :2], masks.masks)
    with pytest.raises(TypeCheckError):
        jsd(maps.int(), masks.masks)
