"""Scenes and the detector, as the tests of ttom.emojiworld have them."""

from __future__ import annotations

from tests.emojiworld.conftest import detections, detector, rendered

__all__ = ["detections", "detector", "rendered"]
