"""Where objects are in a video: one protocol, three ways.

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
    """What the results call it, its weights included."""

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        """Masks of each group's objects together: bool ``(N, T, height, width)``, empty where nothing is found.

        Args:
            video: uint8 ``(T, height, width, 3)``.
            groups: N phrases of the prompt with their nouns, different from each other.
        """
        ...


class EmojiWorldSegmenter:
    """EmojiWorld's own: the noun of every pixel, by the world's detector, which knows its 66 nouns alone."""

    name = "emojiworld (experiments/emojiworld/detector.safetensors)"

    def __init__(self, device: str = "cpu") -> None:
        from experiments.emojiworld.detector import load_detector

        self._detector = load_detector(device)

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        import torch

        from experiments.emojiworld.detector import STRIDE, segment
        from experiments.emojiworld.nouns import INDEX

        pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1
        nouns = segment(self._detector, pixels.to(next(self._detector.parameters()).device)).cpu().numpy()
        masks = [nouns == INDEX.get(group.noun, -1) for group in groups]
        return np.stack(masks).repeat(STRIDE, axis=2).repeat(STRIDE, axis=3)
