"""Jensen-Shannon divergence between attention maps and soft masks (equation 2 of the paper)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ttom.losses.common import TINY, to_distribution


def jsd(maps: Float[Tensor, "K N F H W"], masks: Float[Tensor, "N F H W"]) -> Float[Tensor, "K N F"]:
    """Divergence of each frame's map from its mask; natural logarithm, so between 0 and ln 2.

    Args:
        maps: ``(K, N, F, H, W)``, nonnegative; normalized here to sum to 1 in each frame.
        masks: ``(N, F, H, W)``, nonnegative; normalized here to sum to 1 in each frame.

    Returns:
        ``(K, N, F)``.
    """
    p, q = to_distribution(maps), to_distribution(masks)
    log_mean = ((p + q) / 2).clamp_min(TINY).log()
    terms = p * (p.clamp_min(TINY).log() - log_mean) + q * (q.clamp_min(TINY).log() - log_mean)
    return terms.sum(dim=(-2, -1)) / 2
