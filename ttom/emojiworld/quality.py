"""What pictures look like: statistics of the detector's first features, by which generated ones differ from true ones.

The detector's first level sees edges, texture and color at half resolution. Its features at all places of some frames
are whitened by those of true frames, in which they then have mean 0 and covariance 1. Blur, grain and odd colors change
them; which nouns are shown, and where, hardly does. `eval/metrics/picture.py` makes a Frechet distance of it.
Dimension letters: T frames, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ttom.emojiworld.detector import Detector
from ttom.emojiworld.editions import EDITIONS
from ttom.emojiworld.prompts import COMPOSE_KINDS, can_say, scene_prompts
from ttom.emojiworld.render import Renderer, frame_times, pack

FRAMES = 5
"""Frames of a video that are looked at."""
SCENES = 16
"""True scenes of each kind of EmojiWorld-Compose, of the tuning split, that others are compared with."""
_LEAST = 1e-3
"""Share of the mean variance below which a direction of the features is noise and is left out."""


class PictureStatistics:
    """Whitened first and second moments of the detector's features.

    Args:
        detector: It belongs to the edition whose nouns it knows.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        found = self._features(_true_frames(detector.noun_count).to(next(detector.parameters()).device))
        variances, axes = torch.linalg.eigh(torch.cov(found.T))
        kept = variances > _LEAST * variances.mean()
        self._mean, self._whiten = found.mean(0), axes[:, kept] * variances[kept].rsqrt()

    def moments(self, frames: Tensor) -> np.ndarray:
        """Means and upper triangle of the second moments, float32, of frames ``(T, 3, H, W)`` in -1..1."""
        found = (self._features(frames) - self._mean) @ self._whiten
        second = (found.T @ found / len(found)).cpu().numpy()
        upper = second[np.triu_indices(len(second))]
        return np.concatenate([found.mean(0).cpu().numpy(), upper]).astype(np.float32)

    @torch.no_grad()
    def _features(self, frames: Tensor) -> Tensor:
        """Features at every place, float64 ``(T * H/2 * W/2, D)``."""
        found = [self._detector.down1(part).permute(0, 2, 3, 1).flatten(0, 2).double() for part in frames.split(64)]
        return torch.cat(found)


def _true_frames(nouns: int) -> Tensor:
    """Renders of the tuning scenes of the edition with so many nouns, ``(scenes * T, 3, H, W)`` in -1..1."""
    edition = next(edition for edition in EDITIONS.values() if len(edition.nouns) == nouns)
    kinds = [kind for kind in COMPOSE_KINDS if can_say(edition, kind)]
    scenes = [prompt.scene for prompt in scene_prompts("tune", SCENES, kinds, edition)]
    renderer, times = Renderer(), frame_times(FRAMES)
    videos = [renderer(pack(scenes[i : i + 32]), times)[0] for i in range(0, len(scenes), 32)]
    frames = torch.cat(videos).transpose(1, 2).flatten(0, 1)
    return ((frames + 1) * 127.5).round() / 127.5 - 1  # as a video file keeps them
