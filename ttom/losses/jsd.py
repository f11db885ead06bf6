"""Jensen-Shannon divergence between attention maps and soft masks (equation 2 of the paper)."""

from __future__ import annotations

from torch import Tensor

from ttom.losses.common import TINY, to_distribution


def jsd(maps: Tensor, masks: Tensor) -> Tensor:
    """Divergence of each frame's map from its mask, natural logarithm, so between 0 and ln 2.

    Args:
        maps: ``(K, N, F, H, W)``, not negative; scaled to sum 1 a frame here.
        masks: ``(N, F, H, W)``, not negative; scaled to sum 1 a frame here.

    Returns:
        ``(K, N, F)``.
    """
    p, q = to_distribution(maps), to_distribution(masks)
    log_mean = ((p + q) / 2).clamp_min(TINY).log()
    terms = p * (p.clamp_min(TINY).log() - log_mean) + q * (q.clamp_min(TINY).log() - log_mean)
    return terms.sum(dim=(-2, -1)) / 2
