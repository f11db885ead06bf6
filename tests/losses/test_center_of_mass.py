"""Centers of mass against a case computed by hand."""

from __future__ import annotations

import pytest
import torch

from ttom.losses import alignment_loss
from ttom.types import ObjectMasks


def test_center_of_mass_of_two_points() -> None:
    maps, masks = torch.zeros(1, 1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    maps[0, 0, 0, 2, 3] = 7.0
    masks[0, 0, 6, 8] = 1.0
    loss = alignment_loss("center_of_mass", maps, ObjectMasks(masks, torch.ones(1, 1, dtype=torch.bool)))
    assert loss.item() == pytest.approx(0.5**2 + 0.4**2)
