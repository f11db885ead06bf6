"""Which detector looks at whose videos, and GroundingDINO behind the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.probes.tiny_grounding import save_detector
from ttom.check import finders
from ttom.check.finders import GROUNDING, find_emoji, find_finder
from ttom.errors import SetupError


def test_who_looks(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_finder("auto", "emojiworld-wan", (64, 96)) == ("emojiworld", find_emoji)
    assert find_finder("auto", "emojiworld-cogvideox", (64, 96)) == ("emojiworld", find_emoji)
    assert find_finder("auto", "emojiworld-wan", (128, 192)) is None
    assert find_finder("auto", str(tiny_folder), (64, 96)) is None
    assert find_finder("auto", "Wan-AI/Wan2.1-T2V-14B-Diffusers", (64, 96)) is None
    assert find_finder("off", "emojiworld-wan", (64, 96)) is None
    monkeypatch.setattr(finders, "_grounding", lambda name: name)
    assert find_finder("grounding", "emojiworld-wan", (64, 96)) == (GROUNDING, GROUNDING)


def test_a_detector_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be loaded"):
        find_finder(str(tmp_path), "emojiworld-wan", (64, 96))


def test_grounding_dino_finds_nouns_in_evenly_spread_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny one with random weights: what it sees means nothing, but the boxes are those above the threshold."""
    found = find_finder(str(save_detector(tmp_path)), "any", (48, 64))
    assert found is not None and found[0] == str(tmp_path)
    video = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(finders, "SCORE", 0.0)
    frames = found[1](video, ["dog", "house"])
    assert len(frames) == finders.FRAMES and all({one.noun for one in frame} == {"dog", "house"} for frame in frames)
    monkeypatch.setattr(finders, "SAME", 0.0)  # then every box shows what the likeliest one shows
    assert [len(frame) for frame in found[1](video, ["dog", "house"])] == [2] * finders.FRAMES
    monkeypatch.setattr(finders, "SCORE", 1.1)
    assert found[1](video, ["dog"]) == [[]] * finders.FRAMES
