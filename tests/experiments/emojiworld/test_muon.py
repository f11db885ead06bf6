"""The stacked Muon makes the same steps as torch's."""

from __future__ import annotations

import torch
from torch import nn

from experiments.emojiworld.muon import StackedMuon, orthogonalized


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((8, 8), (8, 8), (24, 8), (8, 24), (24, 8))
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def test_steps_equal_torchs() -> None:
    ours, theirs = matrices(), matrices()
    settings = {"lr": 1e-2, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    optimizers = StackedMuon(ours, **settings), torch.optim.Muon(theirs, **settings)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for start, a, b in zip(matrices(), ours, theirs, strict=True):
        moved = (b - start).norm()
        assert moved > 0.05
        assert (a - b).norm() < 0.02 * moved  # bf16: sums in another order
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(optimizers[0].state[a]["momentum_buffer"], optimizers[1].state[b]["momentum_buffer"])


def test_singular_values_come_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalized(torch.randn(3, 16, 48), (3.4445, -4.775, 2.0315), 5, 1e-7).float())
    assert values.min() > 0.5 and values.max() < 1.5
