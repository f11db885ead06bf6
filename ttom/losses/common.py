"""Normalization that the losses share. Dimension letters: see ttom/types.py."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

TINY = 1e-12
"""Keeps logarithms and divisions, and their gradients, finite where a map is 0."""


def to_distribution(maps: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch H W"]:
    """Normalize each map to sum to 1 over H and W, in float32 or wider; a map of zeros stays zero."""
    maps = maps.float() if maps.dtype.itemsize < 4 else maps
    return maps / maps.sum(dim=(-2, -1), keepdim=True).clamp_min(TINY)
