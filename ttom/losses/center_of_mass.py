"""Distance between the centres of mass of map and mask: a rival of the JSD in table 5 of the paper (after LVD)."""

from __future__ import annotations

import torch
from torch import Tensor

from ttom.losses.common import to_distribution


def _center(maps: Tensor) -> Tensor:
    """Centre of mass ``(..., 2)`` as (x, y) in shares of the picture."""
    height, width = maps.shape[-2:]
    shares = to_distribution(maps)
    rows = (torch.arange(height, device=shares.device, dtype=shares.dtype) + 0.5) / height
    columns = (torch.arange(width, device=shares.device, dtype=shares.dtype) + 0.5) / width
    x = (shares.sum(dim=-2) * columns).sum(dim=-1)
    y = (shares.sum(dim=-1) * rows).sum(dim=-1)
    return torch.stack((x, y), dim=-1)


def center_of_mass(maps: Tensor, masks: Tensor) -> Tensor:
    """Squared distance of the two centres of mass in each frame, in shares of the picture.

    Args:
        maps: ``(K, N, F, H, W)``, not negative.
        masks: ``(N, F, H, W)``, not negative.

    Returns:
        ``(K, N, F)``.
    """
    return (_center(maps) - _center(masks)).square().sum(dim=-1)
