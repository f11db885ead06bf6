"""The Jensen-Shannon divergence against scipy, and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from tests.losses.cases import F, H, K, N, W, mean_over_visible, random_case
from ttom.losses import alignment_loss


def test_jsd_equals_scipy() -> None:
    maps, masks = random_case()
    maps[0, 0, 0, 1] = 0
    values = np.zeros((K, N, F))
    for k in range(K):
        for n in range(N):
            for f in range(F):
                if masks.visible[n, f]:
                    p, q = maps[k, n, f].double().flatten().numpy(), masks.masks[n, f].double().flatten().numpy()
                    values[k, n, f] = jensenshannon(p, q) ** 2
    assert alignment_loss("jsd", maps, masks).item() == pytest.approx(
        mean_over_visible(values, masks.visible), rel=1e-5
    )
    assert alignment_loss("jsd", maps.double(), masks).dtype == torch.float64


def test_jsd_bounds() -> None:
    _, masks = random_case()
    same = masks.masks.expand(K, N, F, H, W)
    assert alignment_loss("jsd", same, masks).item() == pytest.approx(0, abs=1e-6)
    apart = torch.zeros(K, N, F, H, W)
    apart[..., 0, :] = 1  # the masks are 0 in the first row
    assert alignment_loss("jsd", apart, masks).item() == pytest.approx(math.log(2), rel=1e-5)
