"""Distance between the centers of mass of map and mask: a competitor of the JSD in table 5 of the paper, after LVD."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ttom.losses.common import to_distribution

VELOCITY = 5.0
"""Weight of LVD's velocity term, as a multiple of the distance's."""


def _center(maps: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch 2"]:
    """Center of mass as (x, y), in fractions of the picture."""
    height, width = maps.shape[-2:]
    shares = to_distribution(maps)
    rows = (torch.arange(height, device=shares.device, dtype=shares.dtype) + 0.5) / height
    columns = (torch.arange(width, device=shares.device, dtype=shares.dtype) + 0.5) / width
    x = (shares.sum(dim=-2) * columns).sum(dim=-1)
    y = (shares.sum(dim=-1) * rows).sum(dim=-1)
    return torch.stack((x, y), dim=-1)


def center_of_mass(maps: Float[Tensor, "K N F H W"], masks: Float[Tensor, "N F H W"]) -> Float[Tensor, "K N F"]:
    """Squared distance between the two centers of mass in each frame, in fractions of the picture.

    LVD's velocity term is not part of it; see `center_of_mass_motion`.

    Args:
        maps: ``(K, N, F, H, W)``, nonnegative.
        masks: ``(N, F, H, W)``, nonnegative.

    Returns:
        ``(K, N, F)``.
    """
    return (_center(maps) - _center(masks)).square().sum(dim=-1)


def center_of_mass_motion(maps: Float[Tensor, "K N F H W"], masks: Float[Tensor, "N F H W"]) -> Float[Tensor, "K N F"]:
    """`center_of_mass` plus LVD's velocity term: VELOCITY times the squared distance between the two centers' moves.

    A frame's move is that since the frame before; it counts where the object is visible in both.

    Args:
        maps: ``(K, N, F, H, W)``, nonnegative.
        masks: ``(N, F, H, W)``, nonnegative; 0 where the object is not visible.

    Returns:
        ``(K, N, F)``.
    """
    distance = _center(maps) - _center(masks)
    seen = masks.flatten(-2).any(dim=-1)
    moves = distance.diff(dim=-2).square().sum(dim=-1)
    moves = torch.where(seen[:, 1:] & seen[:, :-1], moves, 0.0)
    return distance.square().sum(dim=-1) + VELOCITY * functional.pad(moves, (1, 0))
