"""Attention-to-layout losses: maps and masks in, one number out. Pure functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ttom.config import Average
from ttom.errors import SetupError
from ttom.losses.bce import bce
from ttom.losses.center_of_mass import center_of_mass, center_of_mass_motion
from ttom.losses.jsd import jsd
from ttom.types import ObjectMasks

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "jsd": jsd,
    "bce": bce,
    "center_of_mass": center_of_mass,
    "center_of_mass_motion": center_of_mass_motion,
}


def register_loss(name: str, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Make a loss known to ``tto.loss``: maps ``(K, N, F, H, W)`` and masks ``(N, F, H, W)`` -> ``(K, N, F)``.

    Raises:
        ValueError: The name is taken.
    """
    if name in LOSSES:
        raise ValueError(f"there is a loss {name!r} already")
    LOSSES[name] = loss


def find_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a name. Raises SetupError if there is none."""
    if name not in LOSSES:
        raise SetupError(f"unknown loss {name!r}", expected=f"one of {', '.join(LOSSES)}", remedy="`tto.loss=jsd`")
    return LOSSES[name]


def alignment_loss(
    name: str, maps: Float[Tensor, "K N F H W"], masks: ObjectMasks, average: Average = "frames"
) -> Float[Tensor, ""]:
    """Mean of a loss over blocks, objects and the latent frames in which the object is visible (equation 2).

    Equation 2 is a mean over objects, and says nothing of frames. With "frames" every visible frame of every object
    counts the same, so that an object that is seen for a short time counts less; with "objects" every object does.

    Args:
        name: "jsd", "bce", "center_of_mass", "center_of_mass_motion", or one of `register_loss`.
        maps: ``(K, N, F, H, W)`` attention maps, nonnegative.
        masks: Soft masks ``(N, F, H, W)`` with visibility ``(N, F)``.
        average: "frames" or "objects". An object that is never visible counts for nothing.

    Returns:
        Scalar, differentiable with respect to maps; gradients are finite even where maps are 0.

    Raises:
        SetupError: There is no such loss.
        ValueError: Maps and masks have different shapes, or no object is ever visible.
    """
    loss = find_loss(name)
    if maps.ndim != 5 or maps.shape[1:] != masks.masks.shape:
        raise ValueError(f"maps {tuple(maps.shape)} do not fit masks {tuple(masks.masks.shape)}")
    visible = masks.visible.to(maps.device)
    if not bool(visible.any()):
        raise ValueError("no object is visible in any latent frame")
    values = loss(maps, masks.masks.to(maps.device))
    # Selected, not multiplied by 0: an invisible frame must contribute neither value nor gradient.
    if average == "frames":
        return values[:, visible].mean()
    return torch.stack([values[:, n, seen].mean() for n, seen in enumerate(visible) if seen.any()]).mean()
