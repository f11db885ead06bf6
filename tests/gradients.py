"""Gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

__test__ = False


def equal_central_differences(parameters: Mapping[str, Tensor], loss: Callable[[], Tensor]) -> None:
    """Require float64 parameters, at random values, to have the gradients that small steps of the loss tell of."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    gradients = dict(zip(parameters, torch.autograd.grad(loss(), list(parameters.values())), strict=True))
    for name, parameter in parameters.items():
        assert parameter.dtype == torch.float64
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                parameter.add_(direction, alpha=sign * 1e-5)
                values.append(loss().item())
                parameter.sub_(direction, alpha=sign * 1e-5)
        slope = (gradients[name] * direction).sum().item()
        assert slope != 0 and (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-5, abs=1e-12), name
