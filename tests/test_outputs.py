"""Files of a result: whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ttom import outputs, provenance
from ttom.errors import UserError
from ttom.presets import emojiworld, paper


@pytest.mark.parametrize(("height", "seen"), [(64, 512), (240, 480), (480, 480), (720, 720), (400, 400)])
def test_small_videos_are_enlarged_by_whole_factors(height: int, seen: int) -> None:
    video = np.random.default_rng(0).integers(0, 255, (2, height, 8, 3), np.uint8)
    large = outputs.enlarge(video)
    factor = seen // height
    assert large.shape == (2, seen, 8 * factor, 3)
    assert (large[:, ::factor, ::factor] == video).all()
    assert (large[:, factor - 1 :: factor, factor - 1 :: factor] == video).all()


def test_written_video_shows_the_frames_in_order(tmp_path: Path) -> None:
    import imageio_ffmpeg

    video = np.zeros((9, 33, 47, 3), np.uint8)  # odd sides
    for t in range(9):
        video[t, :, :, 0] = 25 * t
    outputs.write_video(video, tmp_path / "v.mp4", fps=8)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "v.mp4"))
    meta = next(reader)
    assert meta["size"] == (48, 34)
    assert meta["fps"] == 8
    read = [np.frombuffer(frame, np.uint8).reshape(34, 48, 3) for frame in reader]
    assert len(read) == 9
    for t, frame in enumerate(read):
        assert abs(float(frame[:33, :47, 0].mean()) - 25 * t) < 12


def test_staged_moves_all_or_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), outputs.staged(folder) as stage:
        (stage / "a").write_text("half")
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []
    with outputs.staged(folder) as stage:
        (stage / "a").write_text("whole")
        assert stage.parent == folder  # same disk: the move is one rename
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_full_disk_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No space left"), outputs.staged(tmp_path):
        raise OSError(28, os.strerror(28))


def test_checking_a_folder_leaves_nothing(tmp_path: Path) -> None:
    outputs.check_folder(tmp_path / "a" / "b")
    outputs.check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_described_by_what_differs() -> None:
    described = provenance.describe_settings(emojiworld(), "paper", paper())
    assert described["given"]["sampler.frames"] == 17
    assert described["given"]["tto.lr"] == emojiworld().tto.lr
    assert "tto.loss" not in described["given"]
    assert provenance.describe_settings(paper(), "paper", paper())["given"] == {}


def test_commit_is_of_our_own_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (Path(provenance.__file__).parents[1] / ".git").exists():
        pytest.skip("not run from a git checkout")
    assert provenance.environment("cpu")["dirty"] in (True, False)
    installed = tmp_path / "site-packages" / "ttom"
    installed.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(installed / "provenance.py"))
    monkeypatch.setenv("TTOM_COMMIT", "")
    assert provenance.environment("cpu")["commit"] is None


def test_a_copy_of_the_tree_is_told_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = provenance.environment("cpu")["commit"]
    monkeypatch.setenv("TTOM_COMMIT", "0123abc")
    if own is not None:  # a checkout knows better
        assert provenance.environment("cpu")["commit"] == own
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "ttom" / "provenance.py"))
    told = provenance.environment("cpu")
    assert (told["commit"], told["dirty"]) == ("0123abc", None)
