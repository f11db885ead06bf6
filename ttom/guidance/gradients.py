"""What parts need that differentiate through the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ttom.errors import UserError


def refuse_inference_mode() -> None:
    """Raise UserError within torch.inference_mode."""
    if torch.is_inference_mode_enabled():
        raise UserError(
            "torch.inference_mode is on, in which nothing can be optimized",
            expected="any other mode; torch.no_grad does no harm",
            remedy="generate outside of torch.inference_mode",
        )


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within the context no parameter of the module asks for a gradient, which saves the memory for them."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
