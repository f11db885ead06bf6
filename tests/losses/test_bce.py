"""Binary cross-entropy against an explicit sum."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.losses.cases import F, K, N, mean_over_visible, random_case
from ttom.losses import alignment_loss


def test_bce_equals_an_explicit_sum() -> None:
    maps, masks = random_case()
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
        mean_over_visible(values, masks.visible), rel=1e-4
    )
