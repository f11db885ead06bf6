"""Refusals are answers of their own form, and a judge's version follows all that decides its answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from eval.judges.protocol import Video, refusal, refused, version_of
from eval.judges.video import VideoError
from tests.eval.judged import FRAMES, clip
from ttom.video import write_video


def test_a_refusal_is_told_from_every_other_value() -> None:
    assert refusal(refused("too dark")) == "too dark"
    others: list[Any] = [None, 0, "refused", [], {}, {"refused": "x", "choices": []}, {"choices": "refused"}]
    assert [refusal(value) for value in others] == [None] * len(others)


def test_versions_follow_what_decides() -> None:
    assert version_of("weights", 0.35) == version_of("weights", 0.35)
    found = {
        version_of("weights", 0.35),
        version_of("weights", 0.4),
        version_of("weights0", 0.35),
        version_of("weights"),
    }
    assert len(found) == 4 and all(len(version) == 12 for version in found)


def test_pictures_are_those_of_the_recorded_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(clip(3), path, 8)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Video(path, digest, FRAMES).pictures.shape == (FRAMES, 32, 48, 3)
    for video in (Video(path, "0" * 64), Video(path, digest, FRAMES - 1), Video(tmp_path / "b.mp4", digest)):
        with pytest.raises(VideoError):
            _ = video.pictures
