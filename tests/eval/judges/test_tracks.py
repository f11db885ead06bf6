"""Point tracks: rigid ones by hand, and those of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from eval.judges.options import JudgeOptions, TrackOptions
from eval.judges.protocol import Video, refusal
from eval.judges.tracks import ImportedTracks, follow, follow_masks, grid, make, rigid_tracks
from eval.metrics.arrays import decode
from eval.types import Question
from ttom.errors import UserError

LEFT, RIGHT = (0.0, 0.0, 0.2, 0.2), (0.8, 0.0, 1.0, 0.2)


def shifted(box: tuple[float, ...], dx: float) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0 + dx, y0, x1 + dx, y1


def test_points_move_with_their_object_and_others_stand_still() -> None:
    owner, centers = follow([[("cat", LEFT)], [("cat", shifted(LEFT, 0.3))]])
    answer = rigid_tracks(owner, centers)
    tracks, visible = decode(answer["tracks"]), decode(answer["visible"])
    points = grid()
    inside = (points <= 0.2).all(axis=1)
    assert inside.any() and visible.all()
    np.testing.assert_allclose(tracks[1][inside], points[inside] + (0.3, 0.0), atol=1e-6)
    np.testing.assert_allclose(tracks[:, ~inside], np.stack([points[~inside]] * 2), atol=1e-6)


def test_objects_of_one_label_keep_apart_and_may_be_lost_for_a_while() -> None:
    frames = [
        [("cat", LEFT), ("cat", RIGHT), ("dog", (0.4, 0.8, 0.6, 1.0))],
        [("cat", shifted(RIGHT, -0.1)), ("cat", shifted(LEFT, 0.1))],  # in another order, and without the dog
        [("cat", shifted(LEFT, 0.2)), ("dog", (0.5, 0.8, 0.7, 1.0))],  # without the right one
    ]
    owner, centers = follow(frames)
    assert set(owner) == {-1, 0, 1, 2}
    np.testing.assert_allclose(centers[:, 0, 0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(centers[:2, 1, 0], [0.9, 0.8])
    np.testing.assert_allclose(centers[[0, 2], 2, 0], [0.5, 0.6])
    assert np.isnan(centers[2, 1]).all() and np.isnan(centers[1, 2]).all()
    visible = decode(rigid_tracks(owner, centers)["visible"])
    assert not visible[2, owner == 1].any() and visible[2, owner == 0].all()


def test_nothing_at_first_means_that_nothing_moves() -> None:
    owner, centers = follow([[], [("cat", LEFT)]])
    answer = rigid_tracks(owner, centers)
    assert (owner == -1).all() and decode(answer["visible"]).all()


def test_masks_are_followed_by_their_centroids() -> None:
    masks = np.zeros((1, 3, 10, 20), bool)
    masks[0, 0, 2:4, 2:4] = masks[0, 1, 2:4, 6:8] = True
    owner, centers = follow_masks(masks)
    np.testing.assert_allclose(centers[:2, 0], [(3 / 20, 0.3), (7 / 20, 0.3)])
    assert np.isnan(centers[2]).all()
    columns, rows = (grid() * (20, 10)).astype(int).T
    assert np.array_equal(owner == 0, masks[0, 0, rows, columns])


def test_a_point_in_two_boxes_belongs_to_the_smaller_one() -> None:
    owner, _ = follow([[("tree", (0.0, 0.0, 1.0, 1.0)), ("bird", (0.4, 0.4, 0.6, 0.6))]])
    near = np.abs(grid() - 0.5).max(axis=1) < 0.09
    assert (owner[near] == 1).all() and (owner == 0).any()


def imported(folder: Path, frames: int = 3) -> list[Any]:
    video = Video(Path("runs/a/videos/motion_binding/0001.mp4"), "0" * 64)
    judge = ImportedTracks(folder, "mine")
    return [reply.value for reply in judge.answer(video, [Question(kind="track", options={"frames": frames})])]


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    tracks = np.array([[[428.0, 120.0]], [[856.0, 240.0]], [[0.0, 480.0]]], np.float32)
    base = {"tracks": tracks, "visible": np.array([[1], [1], [0]], np.uint8), "size": np.array([856, 480])}
    return base | changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / f"{'0' * 64}.safetensors"


def test_tracks_of_a_file_become_shares(file: Path) -> None:
    save_file(arrays(), file)
    (value,) = imported(file.parent)
    np.testing.assert_allclose(decode(value["tracks"])[:, 0], [(0.5, 0.25), (1.0, 0.5), (0.0, 1.0)])
    assert decode(value["visible"])[:, 0].tolist() == [True, True, False]


def test_files_that_do_not_fit_are_refused(file: Path) -> None:
    assert imported(file.parent) == []  # not there yet: asked again another time
    save_file(arrays(), file)
    assert refusal(imported(file.parent, 40)[0]) == "tracks: 3 frames instead of 40"
    for changes in ({"visible": np.ones((2, 1), np.uint8)}, {"tracks": np.zeros((3, 1), np.float32)}):
        save_file(arrays(**changes), file)
        assert refusal(imported(file.parent)[0]) == "tracks: wrong shapes"
    for content in (b"", b"\x80\x04pickle", file.read_bytes()[:50]):
        file.write_bytes(content)
        assert refusal(imported(file.parent)[0]) == "tracks: unreadable file"
    save_file({"tracks": np.zeros((3, 1, 2), np.float32)}, file)
    assert refusal(imported(file.parent)[0]) == "tracks: unreadable file"


def test_the_folder_must_be_named_and_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a folder"):
        make(JudgeOptions())
    with pytest.raises(UserError, match="no folder of tracks"):
        make(JudgeOptions(tracks=TrackOptions(folder=tmp_path / "none")))
