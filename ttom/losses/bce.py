"""Binary cross-entropy between attention maps and soft masks: a competitor of the JSD in table 5 of the paper."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ttom.losses.common import TINY

_SOFTEN = 1e-3  # in log(x + 1e-3): an exact 0 or 1 costs at most 6.9, with a gradient of at most 1000


def _to_peak_one(maps: Tensor) -> Tensor:
    maps = maps.float() if maps.dtype.itemsize < 4 else maps
    return maps / maps.amax(dim=(-2, -1), keepdim=True).clamp_min(TINY)


def bce(maps: Float[Tensor, "K N F H W"], masks: Float[Tensor, "N F H W"]) -> Float[Tensor, "K N F"]:
    """Cross-entropy of each cell taken as a probability, averaged over the cells of a frame.

    The paper names the loss without a formula, so two details are our choice. Map and mask are each scaled to a peak of
    1 in every frame, since attention shares are far too small to be probabilities; and logarithms are softened, since
    an exact 0 or 1 would otherwise have an infinite gradient.

    Args:
        maps: ``(K, N, F, H, W)``, nonnegative.
        masks: ``(N, F, H, W)``, nonnegative.

    Returns:
        ``(K, N, F)``.
    """
    p, target = _to_peak_one(maps), _to_peak_one(masks)
    cells = target * (p + _SOFTEN).log() + (1 - target) * (1 - p + _SOFTEN).log()
    return -cells.mean(dim=(-2, -1))
