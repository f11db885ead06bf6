"""What layouts are like: evenness of motion, overlap."""

from __future__ import annotations

import pytest

from experiments.planning.measures import iou, overlap, roughness
from tests.experiments.planning.items import moving
from ttom.layout.model import Layout


def test_measures() -> None:
    even, other = moving("1", 0.0, 0.7), moving("2", 0.1, 0.8)
    assert roughness(Layout(prompt="hens", objects=(even,))) == pytest.approx(0.0)
    zigzag = moving("1", 0.0, 0.1, 0.0, 0.1, 0.0, 0.1)
    assert roughness(Layout(prompt="hens", objects=(zigzag,))) == pytest.approx(0.2)
    assert overlap(Layout(prompt="hens", objects=(even,))) is None
    assert overlap(Layout(prompt="hens", objects=(even, other))) == pytest.approx(1 / 3)
    assert iou(even.key_frames[0].box, even.key_frames[1].box) == 0.0
