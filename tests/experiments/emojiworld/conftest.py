"""Scenes and the detector, as the tests of ttom.emojiworld have them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from experiments.emojiworld.families import Family
from tests.emojiworld.conftest import detections, detector, rendered
from tests.experiments.emojiworld.tiny_cogvideox import COGVIDEOX, tiny_transformer, tiny_vae

__all__ = ["detections", "detector", "rendered"]


@pytest.fixture
def family() -> Family:
    torch.manual_seed(0)
    return replace(COGVIDEOX, build_vae=tiny_vae, build_transformer=tiny_transformer)
