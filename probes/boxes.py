"""Boxes on key frames, and the frame from which each phrase is tracked. Shared by both GroundingDINO segmenters.

The worker imports this module in an environment without TTOM, so it needs nothing but numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KEY_FRAMES = 3
"""Number of frames of a video on which boxes are detected."""
SCORE = 0.35
"""Minimum score of a box, as in GroundingDINO's own demo."""


@dataclass(frozen=True)
class Found:
    """One box: index of its phrase, score (0..1), and x0 y0 x1 y1 in pixels."""

    phrase: int
    score: float
    box: tuple[float, float, float, float]


def key_frames(count: int) -> list[int]:
    """The frames on which boxes are detected: the middles of KEY_FRAMES equal parts of the video."""
    return sorted({int((i + 0.5) * count / KEY_FRAMES) for i in range(KEY_FRAMES)})


def caption(phrases: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """GroundingDINO's text for several phrases, "a cat. two dogs.", and the character span of each phrase in it."""
    text, spans = "", []
    for phrase in phrases:
        words = phrase.lower().replace(".", " ").strip()
        spans.append((len(text), len(text) + len(words)))
        text += words + ". "
    return text.strip(), spans


def chosen(
    scores: np.ndarray,
    boxes: np.ndarray,
    offsets: Sequence[tuple[int, int]],
    spans: Sequence[tuple[int, int]],
    size: tuple[int, int],
) -> list[Found]:
    """The boxes of one frame whose score reaches SCORE, each assigned to the phrase of its highest-scoring token.

    Args:
        scores: ``(Q, L)`` of Q boxes and L text tokens, 0..1.
        boxes: ``(Q, 4)``: center x, center y, width, height in shares of the picture.
        offsets: Character span (start, end) of each of the L tokens; empty for special tokens.
        spans: The same of each phrase.
        size: Width and height of the picture in pixels.
    """
    inside = [[i for i, (a, b) in enumerate(offsets) if max(a, start) < min(b, end)] for start, end in spans]
    each = np.stack([scores[:, tokens].max(axis=1, initial=0.0) for tokens in inside], axis=1)  # (Q, phrases)
    x, y, width, height = boxes.T
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1).clip(0, 1)
    corners = corners * np.array([*size, *size])
    return [
        Found(int(phrase), float(score), (float(x0), float(y0), float(x1), float(y1)))
        for phrase, score, (x0, y0, x1, y1) in zip(each.argmax(axis=1), each.max(axis=1), corners, strict=True)
        if score >= SCORE and x1 > x0 and y1 > y0
    ]


def anchors(by_frame: dict[int, list[Found]]) -> dict[int, list[Found]]:
    """For each phrase, the boxes of the frame whose scores sum highest: {frame: boxes to track from it}.

    One frame per phrase, because a box on another frame might be the same object or a second one.
    """
    sums: dict[int, dict[int, float]] = {}
    for frame, boxes in by_frame.items():
        for found in boxes:
            of_phrase = sums.setdefault(found.phrase, {})
            of_phrase[frame] = of_phrase.get(frame, 0.0) + found.score
    best = {phrase: max(frames, key=frames.__getitem__) for phrase, frames in sums.items()}
    tracked = {f: [found for found in boxes if best[found.phrase] == f] for f, boxes in by_frame.items()}
    return {frame: boxes for frame, boxes in tracked.items() if boxes}
