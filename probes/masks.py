"""Segmenters of a video: one protocol, three implementations.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ttom.layout.model import ObjectGroup


class Segmenter(Protocol):
    """Finds the objects of a prompt in its video."""

    name: str
    """Its name in the results, weights included."""

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        """Masks of each group's objects together: bool ``(N, T, height, width)``, all False where nothing is found.

        Args:
            video: uint8 ``(T, height, width, 3)``.
            groups: N different phrases of the prompt with their nouns.
        """
        ...


class EmojiWorldSegmenter:
    """EmojiWorld's own: the noun of every pixel by the world's detector, which knows the world's nouns only."""

    name = "emojiworld (ttom/emojiworld/detector.safetensors)"

    def __init__(self, device: str = "cpu") -> None:
        from ttom.emojiworld.detector import load_detector

        self._detector = load_detector(device)

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        import torch
        from torch.nn import functional

        from ttom.emojiworld.nouns import INDEX

        pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            logits = self._detector(pixels.to(next(self._detector.parameters()).device))[2]
        # Logits are those of every other pixel, starting with the first; interpolate between them.
        height, width = logits.shape[2:]
        logits = functional.interpolate(logits, (2 * height - 1, 2 * width - 1), mode="bilinear", align_corners=True)
        nouns = functional.pad(logits, (0, 1, 0, 1), mode="replicate").argmax(1).cpu().numpy()
        background = self._detector.noun_count  # an older detector knows fewer nouns than the world has
        index = [INDEX.get(group.noun, background) for group in groups]
        return np.stack([(nouns == i) & (i < background) for i in index])
