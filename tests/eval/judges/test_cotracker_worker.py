"""The worker that runs CoTracker from a folder, with a stand-in for CoTracker, up to the judge's answer."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.judges import cotracker_worker
from eval.judges.protocol import Video
from eval.judges.tracks import COLUMNS, ROWS, ImportedTracks, grid
from eval.metrics.arrays import decode
from eval.types import Question
from ttom.video import write_video

FRAMES = 5
HUBCONF = """
import torch

class Tracker(torch.nn.Module):
    def forward(self, video, queries):
        assert video.shape[2:] == (3, 480, 856) and video.max() > 200  # pixels from 0 to 255
        steps = torch.arange(video.shape[1])[None, :, None]
        tracks = queries[:, None, :, 1:].repeat(1, video.shape[1], 1, 1)
        tracks[..., 0] += 8.56 * steps  # a hundredth of the width in each frame
        return tracks, (steps < 3).expand(tracks.shape[:3])

def toy_tracker():
    return Tracker()
"""


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    """Two runs whose videos have the same name."""
    paths = [tmp_path / run / "videos" / "motion_binding" / "0001.mp4" for run in ("base", "ttom")]
    for level, path in zip((120, 250), paths, strict=True):
        path.parent.mkdir(parents=True)
        picture = np.full((FRAMES, 64, 96, 3), level, np.uint8)
        picture[:, :32] = 255
        write_video(picture, path, fps=8)
    return paths


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "co-tracker"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


def call(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, cotracker_worker.__file__, *map(str, arguments)]
    environment = {**os.environ, "TORCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_tracks_reach_the_judge_of_their_own_video(tmp_path: Path, videos: list[Path], repository: Path) -> None:
    folders, out = [path.parents[1] for path in videos], tmp_path / "tracks"
    arguments = ("--cotracker", repository, "--model", "toy_tracker", "--out", out, *folders)
    done = call(*arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(out.iterdir())) == 2
    for path in videos:
        video = Video(path, hashlib.sha256(path.read_bytes()).hexdigest(), FRAMES)
        question = Question(kind="track", options={"frames": FRAMES})
        (reply,) = ImportedTracks(out, "cotracker3").answer(video, [question])
        tracks, visible = decode(reply.value["tracks"]), decode(reply.value["visible"])
        np.testing.assert_allclose(tracks[4], grid() + (0.04, 0.0), atol=1e-5)
        assert visible[:3].all() and not visible[3:].any()

    whole, cut = sorted(out.iterdir())
    before = whole.stat().st_mtime_ns
    cut.write_bytes(cut.read_bytes()[:100])  # as a call that was killed leaves it
    again = call(*arguments, home=tmp_path)
    assert again.returncode == 0 and "1 of 1" in again.stderr
    assert whole.stat().st_mtime_ns == before and cotracker_worker.is_whole(cut)


def test_wrong_folders_are_one_message(tmp_path: Path, videos: list[Path], repository: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for cotracker, folder, message in (
        (empty, videos[0].parent, "has no hubconf.py"),
        (repository, empty, "there is no .mp4 file"),
    ):
        done = call("--cotracker", cotracker, "--out", tmp_path / "tracks", folder, home=tmp_path)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_the_grid_is_the_judges() -> None:
    assert (cotracker_worker.ROWS, cotracker_worker.COLUMNS) == (ROWS, COLUMNS)
    points = cotracker_worker.queries()[0].numpy()
    assert not points[:, 0].any()
    np.testing.assert_allclose(points[:, 1:] / cotracker_worker.SIZE, grid(), atol=1e-6)
