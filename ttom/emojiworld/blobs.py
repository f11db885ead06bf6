"""A judge that has learned nothing: blobs in front of a smooth background, their hues and where they go.

It knows no nouns, so it cannot tell a cat from a dog. How many things there are, which colors they have, how they move
and how they stand to each other can be read without a trained model, which is a check on the detector: the same rules
read the detector's boxes with their nouns taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.ndimage import binary_opening, find_objects, label
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ttom.emojiworld.colors import name_color, to_oklab
from ttom.emojiworld.detector import Detection
from ttom.emojiworld.facts import Facts, Relation, Subject
from ttom.emojiworld.metrics import Box, is_beside
from ttom.emojiworld.paths import direction_of_path, is_turn, is_zigzag

FRAMES = 17
"""Frames of a video that are looked at: a zigzag needs all of an embedded model's."""
LEAST_DISTANCE = 0.045
"""Oklab distance from the background from which on a pixel belongs to a thing."""
LEAST_PIXELS, LEAST_SHARE = 30, 0.2
"""What is smaller, in pixels or as a share of the frame's largest blob, is a splinter or a ghost of another thing."""
FARTHEST = 0.25
"""How far a thing may get from one of these frames to the next, in shares of the picture."""
BlindName = Literal["number", "motion", "color", "all"]


@dataclass(frozen=True)
class Blob:
    """One connected thing in one frame.

    Attributes:
        box: x0 y0 x1 y1 as shares of the picture.
        color: The color word nearest to its pixels; None where nobody read it.
    """

    box: Box
    color: str | None

    @property
    def center(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


def find_blobs(frame: np.ndarray) -> list[Blob]:
    """The blobs of a frame ``(H, W, 3)`` in 0..1; things that touch are one."""
    lab = to_oklab(frame.astype(np.float64))
    mask = np.linalg.norm(lab - _background(lab), axis=-1) > LEAST_DISTANCE
    labels, _ = label(binary_opening(mask))
    height, width = mask.shape
    pixels = np.bincount(labels.ravel())[1:]  # without the background
    least = max(LEAST_PIXELS, LEAST_SHARE * pixels.max(initial=0))
    blobs = []
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        if pixels[number - 1] >= least:
            inside = labels[rows, columns] == number
            box = columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
            blobs.append(Blob(box, name_color(frame[rows, columns][inside])))
    return blobs


def blobs_of(video: Tensor, frames: int = FRAMES) -> list[list[Blob]]:
    """The blobs of so many frames of a video ``(3, T, H, W)`` in -1..1."""
    chosen = np.linspace(0, video.shape[1] - 1, min(frames, video.shape[1])).round().astype(int)
    pictures = ((video[:, chosen].permute(1, 2, 3, 0).float().cpu().numpy() + 1) / 2).clip(0, 1)
    return [find_blobs(picture) for picture in pictures]


def without_nouns(frames: Iterable[Sequence[Detection]]) -> list[list[Blob]]:
    """What a detector found, as blobs."""
    return [[Blob(one.box, one.color) for one in frame] for frame in frames]


@cache
def _terms(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cubic polynomials of x and y at every pixel ``(H * W, 10)``, and whether the pixel lies at the border."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    border = np.ones((height, width), bool)
    border[3:-3, 3:-3] = False
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], -1).reshape(-1, 10), border.ravel()


def _background(lab: np.ndarray) -> np.ndarray:
    """A smooth surface through most of the pixels ``(H, W, 3)``: least squares, again without what lies far from it."""
    terms, keep = _terms(*lab.shape[:2])  # things cover less of the border than of the middle
    values = lab.reshape(-1, 3)
    surface = values
    for _ in range(8):
        chosen = terms[keep]
        surface = terms @ np.linalg.solve(chosen.T @ chosen, chosen.T @ values[keep])
        distance = np.linalg.norm(values - surface, axis=1)
        keep = distance < max(0.03, float(np.quantile(distance, 0.3)))
    return surface.reshape(lab.shape)


def judge(facts: Facts, frames: Sequence[Sequence[Blob]]) -> dict[BlindName, bool]:
    """Which facts the blobs show, as far as that can be told without nouns.

    "number": as many things in all as the facts name, in the median frame. "motion": as many of them as named move in
    each way, or stay. "color": each color word on as many things as it is said of, in most frames. "all": each thing of
    the facts can be given a blob of its own so that number, motion, colors and relations hold together. Scenes in which
    something comes or goes have no number and are judged by motion alone.
    """
    things = [subject for subject in facts.subjects for _ in range(subject.count)]
    tracks = follow(frames)
    fits = np.array([[_moves_as(track, thing) for track in tracks] for thing in things]).reshape(len(things), -1)
    found: dict[BlindName, bool] = {}
    passing = any(subject.passage for subject in facts.subjects)
    if not passing:
        found["number"] = float(np.median([len(frame) for frame in frames])) == len(things)
    found["motion"] = _all_matched(fits)
    if any(thing.color for thing in things):
        colored = np.array([[_has_color(track, thing) for track in tracks] for thing in things]).reshape(fits.shape)
        named = [i for i, thing in enumerate(things) if thing.color]
        found["color"] = _all_matched(colored[named])
        fits = fits & colored
    found["all"] = found.get("number", True) and _all_matched(fits) and _assign(facts, tracks, fits)
    return found


Track = list[Blob | None]
"""A thing in each frame; None where it is not found."""


def follow(frames: Sequence[Sequence[Blob]]) -> list[Track]:
    """The things that are seen in at least half of the frames; from frame to frame the nearest belong together."""
    tracks: list[Track] = []
    for i, frame in enumerate(frames):
        last = [next(blob for blob in reversed(track) if blob is not None) for track in tracks]
        table = np.array([[np.hypot(*np.subtract(a.center, b.center)) for b in frame] for a in last])
        taken: dict[int, int] = {}
        if table.size:
            rows, columns = linear_sum_assignment(table)
            taken = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if table[r, c] <= FARTHEST}
        for track in tracks:
            track.append(None)
        for column, blob in enumerate(frame):
            if column in taken:
                tracks[taken[column]][i] = blob
            else:
                tracks.append([None] * i + [blob])
    return [track for track in tracks if sum(blob is not None for blob in track) >= len(frames) / 2]


def _places(track: Track) -> np.ndarray:
    return np.array([blob.center for blob in track if blob is not None])


def _moves_as(track: Track, thing: Subject) -> bool:
    places = _places(track)
    if not thing.path:
        return direction_of_path(places) is None
    if thing.zigzag:
        return is_zigzag(places, thing.path[0])
    if len(thing.path) > 1:
        return is_turn(places, thing.path)
    return direction_of_path(places, least=0.08 if thing.passage else 0.1) == thing.path[0]


def _has_color(track: Track, thing: Subject) -> bool:
    seen = [blob for blob in track if blob is not None]
    return thing.color is None or sum(blob.color == thing.color for blob in seen) > len(seen) / 2


def _all_matched(fits: np.ndarray) -> bool:
    """Whether each row ``(things, tracks)`` can be given a column of its own that fits."""
    if fits.shape[1] < len(fits):
        return False
    return bool(fits[linear_sum_assignment(fits, maximize=True)].all())


def _assign(facts: Facts, tracks: Sequence[Track], fits: np.ndarray) -> bool:
    """Whether tracks can be given to things so that all relations hold, too."""
    owner = [i for i, subject in enumerate(facts.subjects) for _ in range(subject.count)]

    def given(chosen: tuple[int, ...]) -> bool:
        if len(chosen) == len(owner):
            return all(_holds(facts, relation, _of(relation, owner, chosen, tracks)) for relation in facts.relations)
        free = (track for track in range(len(tracks)) if fits[len(chosen), track] and track not in chosen)
        return any(given((*chosen, track)) for track in free)

    return not facts.relations or given(())


def _of(
    relation: Relation, owner: Sequence[int], chosen: Sequence[int], tracks: Sequence[Track]
) -> tuple[list[Track], list[Track]]:
    given = [(who, tracks[track]) for who, track in zip(owner, chosen, strict=True)]
    first = [track for who, track in given if who == relation.first]
    return first, [track for who, track in given if who == relation.second]


def _holds(facts: Facts, relation: Relation, related: tuple[list[Track], list[Track]]) -> bool:
    """In at least half of the frames, as `judging.judge` has it."""
    first, second = related
    count = len(first[0])
    moving = bool(facts.subjects[relation.first].path)
    shown = []
    for i in range(count):
        a, b = [track[i] for track in first], [track[i] for track in second]
        shown.append(_related([x for x in a if x], [x for x in b if x], relation, moving))
    return sum(shown) >= count / 2


def _related(first: list[Blob], second: list[Blob], relation: Relation, moving: bool) -> bool:
    if not first or not second:
        return False
    if relation.side == "between":
        x = [blob.center[0] for blob in second]
        return any(min(x) < blob.center[0] < max(x) for blob in first)
    if moving:
        axis, sign = (0 if relation.side in ("left", "right") else 1), (-1 if relation.side in ("left", "above") else 1)
        return any(sign * (a.center[axis] - b.center[axis]) > 0 for a in first for b in second)
    sides = ("left", "right") if relation.loose else (relation.side,)
    return all(any(is_beside(a.box, b.box, side) for b in second for side in sides) for a in first)


def verdicts(facts: Facts, video: Tensor) -> Iterator[tuple[str, bool]]:
    """(measure, holds) of a video ``(3, T, H, W)`` in -1..1, see `judge`."""
    yield from judge(facts, blobs_of(video)).items()
