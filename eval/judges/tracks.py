"""Point tracks: from files that a tracker wrote elsewhere, or rigid ones from boxes and masks.

CoTracker and the official toolkit's DOT ship as pickles or as code to run from a repository, neither of which is loaded
here. cotracker_worker.py runs CoTracker from a folder in an environment of its own; a script of yours can do the same
for another tracker. It writes one file per video, named by the SHA-256 of the video's file, so that no video gets the
tracks of another with the same name: "tracks" float32 ``(T, N, 2)`` in pixels, "visible" uint8 ``(T, N)`` and "size"
(width, height)::

    safetensors.torch.save_file({"tracks": tracks, "visible": visible.to(torch.uint8),
                                 "size": torch.tensor([856, 480])}, f"{sha256}.safetensors")

Without a tracker, the points of an object move as its detected center does, and all others stand still: enough where
objects keep their shape before a still camera, as in EmojiWorld, and blind to a camera that moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from eval.judges.options import JudgeOptions
from eval.judges.protocol import Reply, Video, refused, version_of
from eval.metrics.arrays import encode
from eval.metrics.detections import Box
from eval.types import Question
from ttom.errors import UserError

ROWS, COLUMNS = 30, 45
MAX_FILE = 2**30

Owned = tuple[np.ndarray, np.ndarray]
"""Index of the object that each of the P grid points belongs to, -1 for none; centers ``(T, N, 2)``, NaN if unseen."""


class ImportedTracks:
    """Tracks from a folder; see `Judge`.

    Raises:
        UserError: There is no such folder.
    """

    kinds = frozenset({"track"})
    workers = 1

    def __init__(self, folder: Path, name: str) -> None:
        if not folder.is_dir():
            raise UserError(
                f"there is no folder of tracks {folder}", expected="a folder with SHA256.safetensors for each video"
            )
        self.folder, self.name, self.version = folder, f"tracks-{name}", version_of(name, 1)

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        path = self.folder / f"{video.sha256}.safetensors"
        for question in questions:
            try:
                yield Reply(question, _imported(path, int(question.options["frames"])))
            except FileNotFoundError:
                continue  # asked again once the file is there


def make(options: JudgeOptions) -> ImportedTracks:
    if options.tracks.folder is None:
        raise UserError(
            "the judge tracks needs a folder",
            expected="the folder that the tracker's files are in",
            remedy="`tracks.folder=DIR`",
        )
    return ImportedTracks(options.tracks.folder, options.tracks.name)


def _imported(path: Path, frames: int) -> Any:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.stat().st_size > MAX_FILE:
        return refused("tracks: file too large")
    try:
        arrays = load_file(path)
        tracks, visible = arrays["tracks"].astype(np.float32), arrays["visible"].astype(bool)
        width, height = (float(side) for side in arrays["size"])
    except (SafetensorError, KeyError, ValueError, OSError):
        return refused("tracks: unreadable file")
    if tracks.ndim != 3 or tracks.shape[2] != 2 or visible.shape != tracks.shape[:2] or not width * height > 0:
        return refused("tracks: wrong shapes")
    if len(tracks) != frames:
        return refused(f"tracks: {len(tracks)} frames instead of {frames}")
    return {"tracks": encode(tracks / np.array([width, height], np.float32)), "visible": encode(visible)}


def grid() -> np.ndarray:
    """The points that are followed, ``(P, 2)``: the centers of a grid's cells."""
    x, y = (np.arange(COLUMNS) + 0.5) / COLUMNS, (np.arange(ROWS) + 0.5) / ROWS
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def follow(frames: Sequence[Sequence[tuple[Any, Box]]]) -> Owned:
    """Follow the objects of the first frame by their boxes: each is the nearest one of its label in the next frame.

    One to one, so that the sum of distances is least; an object that is lost may be found again.

    Args:
        frames: Label and box of each detection, per frame.
    """
    labels = [label for label, _ in frames[0]]
    centers = np.full((len(frames), len(labels), 2), np.nan)
    last = np.array([_center(box) for _, box in frames[0]]).reshape(-1, 2)
    for t, frame in enumerate(frames):
        here = np.array([_center(box) for _, box in frame]).reshape(-1, 2)
        for label in dict.fromkeys(labels):
            ours = [i for i, other in enumerate(labels) if other == label]
            theirs = [i for i, (other, _) in enumerate(frame) if other == label]
            cost = np.linalg.norm(last[ours][:, None] - here[theirs][None], axis=-1)
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                centers[t, ours[row]] = last[ours[row]] = here[theirs[column]]
    points = grid()
    owner = np.full(len(points), -1)
    boxes = [box for _, box in frames[0]]
    for i in sorted(range(len(boxes)), key=lambda i: _area(boxes[i]), reverse=True):  # of two, the smaller one
        x0, y0, x1, y1 = boxes[i]
        owner[(points >= (x0, y0)).all(1) & (points <= (x1, y1)).all(1)] = i
    return owner, centers


def follow_masks(masks: np.ndarray) -> Owned:
    """The same from masks ``(N, T, H, W)`` of objects: their centroids, and which points lie in them at first."""
    objects, frames, height, width = masks.shape
    centers = np.full((frames, objects, 2), np.nan)
    for i, t in np.argwhere(masks.any(axis=(2, 3))):
        rows, columns = np.nonzero(masks[i, t])
        centers[t, i] = (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height
    columns, rows = (grid() * (width, height)).astype(int).T
    owner = np.full(len(rows), -1)
    for i in range(objects):
        owner[masks[i, 0, rows, columns]] = i
    return owner, centers


def rigid_tracks(owner: np.ndarray, centers: np.ndarray) -> dict[str, Any]:
    """The answer to a question "track": points move with the centers of their objects, the others stand still."""
    tracks = np.repeat(grid()[None], len(centers), axis=0)
    visible = np.ones(tracks.shape[:2], bool)
    moved = np.flatnonzero(owner >= 0)
    shift = (centers - centers[:1])[:, owner[moved]]
    visible[:, moved] = ~np.isnan(shift).any(axis=-1)
    tracks[:, moved] += np.nan_to_num(shift)
    return {"tracks": encode(tracks.astype(np.float32)), "visible": encode(visible)}


def _center(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
