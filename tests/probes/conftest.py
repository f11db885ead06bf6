"""EmojiWorld's segmenter."""

from __future__ import annotations

import pytest

from probes.masks import EmojiWorldSegmenter


@pytest.fixture(scope="module")
def segmenter() -> EmojiWorldSegmenter:
    return EmojiWorldSegmenter()
