"""EmojiWorld's segmenter, on what is not there."""

from __future__ import annotations

import numpy as np

from probes.masks import EmojiWorldSegmenter
from ttom.layout.model import ObjectGroup


def test_a_noun_that_is_not_there_or_not_known_has_an_empty_mask(segmenter: EmojiWorldSegmenter) -> None:
    video = np.full((5, 64, 96, 3), 128, np.uint8)
    groups = [ObjectGroup(noun, noun, ()) for noun in ("cat", "zeppelin")]
    masks = segmenter.segment(video, groups)
    assert masks.shape == (2, 5, 64, 96) and masks.dtype == bool
    assert masks[0].mean() < 0.02 and not masks[1].any()
