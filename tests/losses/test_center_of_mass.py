"""Centers of mass against a case computed by hand."""

from __future__ import annotations

import pytest
import torch

from ttom.losses import alignment_loss
from ttom.losses.center_of_mass import center_of_mass_motion
from ttom.types import ObjectMasks


def test_center_of_mass_of_two_points() -> None:
    maps, masks = torch.zeros(1, 1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    maps[0, 0, 0, 2, 3] = 7.0
    masks[0, 0, 6, 8] = 1.0
    loss = alignment_loss("center_of_mass", maps, ObjectMasks(masks, torch.ones(1, 1, dtype=torch.bool)))
    assert loss.item() == pytest.approx(0.5**2 + 0.4**2)


def test_motion_of_two_points() -> None:
    """They are 1/2 and 2/5 apart, then together, then the object is gone, then apart by 1/10."""
    places = [((2, 3), (6, 8)), ((5, 5), (5, 5)), ((0, 0), None), ((4, 4), (4, 5))]
    maps, masks = torch.zeros(1, 1, 4, 10, 10), torch.zeros(1, 4, 10, 10)
    for f, (at, mask) in enumerate(places):
        maps[0, 0, f, at[0], at[1]] = 3.0
        if mask is not None:
            masks[0, f, mask[0], mask[1]] = 1.0
    values = center_of_mass_motion(maps, masks)[0, 0]
    apart = 0.5**2 + 0.4**2
    assert values[[0, 1, 3]].tolist() == pytest.approx([apart, 5 * apart, 0.1**2])
