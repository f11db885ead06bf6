"""Random maps and masks, and the mean of a loss over the frames in which objects are visible."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ttom.types import ObjectMasks

K, N, F, H, W = 2, 3, 4, 5, 6


def random_case(seed: int = 0) -> tuple[Tensor, ObjectMasks]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(K, N, F, H, W, generator=generator) * 1e-3
    masks = torch.rand(N, F, H, W, generator=generator)
    masks[:, :, 0] = 0
    masks = masks / masks.sum(dim=(2, 3), keepdim=True)
    visible = torch.ones(N, F, dtype=torch.bool)
    visible[1, 2:] = False
    return maps, ObjectMasks(torch.where(visible[..., None, None], masks, 0.0), visible)


def mean_over_visible(values: np.ndarray, visible: Tensor) -> float:
    picked = [values[k, n, f] for k in range(K) for n in range(N) for f in range(F) if visible[n, f]]
    return float(np.mean(picked))
