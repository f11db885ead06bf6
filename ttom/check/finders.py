"""Detectors that find the nouns of a plan in a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ttom.checkpoints.card import read_card

if TYPE_CHECKING:
    import numpy as np

    from ttom.emojiworld.detector import Detector
    from ttom.vision.grounding_dino import GroundingDino

GROUNDING = "IDEA-Research/grounding-dino-base"
FRAMES, SCORE, SAME = 9, 0.35, 0.7
"""Of GroundingDINO: frames that it looks at, least score, and IoU from which on two boxes show one thing."""

Box = tuple[float, float, float, float]
"""x0 y0 x1 y1 in shares of the picture."""


@dataclass(frozen=True)
class Found:
    """An object that a detector sees in a frame, by its noun in the singular."""

    noun: str
    box: Box


Finder = Callable[[Any, Sequence[str]], list[list[Found]]]
"""Finds nouns in frames, evenly spread, of a uint8 video ``(T, height, width, 3)``."""


def find_finder(check: str, model: str, size: tuple[int, int]) -> tuple[str, Finder] | None:
    """The detector for a model's videos, with its name; None if there is to be no check.

    Args:
        check: "auto" for EmojiWorld's detector with the embedded models, and none with others; "off"; "grounding", or
            the Hub id or folder of a GroundingDINO.
        model: As the user names it.
        size: Height and width of the videos.

    Raises:
        SetupError: The detector's weights cannot be fetched or read.
    """
    if check == "auto":
        from ttom.emojiworld.scene import HEIGHT, WIDTH

        card = read_card(model)
        ours = card is not None and bool(card.nouns) and size == (HEIGHT, WIDTH)
        return ("emojiworld", find_emoji) if ours else None
    if check == "off":
        return None
    name = GROUNDING if check == "grounding" else check
    return name, _grounding(name)


def find_emoji(video: np.ndarray, nouns: Sequence[str]) -> list[list[Found]]:
    """EmojiWorld's own detector (see `Finder`)."""
    from ttom.emojiworld.detector import detect_video
    from ttom.emojiworld.nouns import NOUNS

    frames = detect_video(_emoji_detector(), video)
    return [[Found(NOUNS[one.noun].name, one.box) for one in frame] for frame in frames]


@cache
def _emoji_detector() -> Detector:
    from ttom.emojiworld.detector import load_detector

    return load_detector()


def _grounding(name: str) -> Finder:
    """GroundingDINO, asked for each noun alone in FRAMES evenly spread frames.

    Raises:
        SetupError: Its weights cannot be fetched or read.
    """
    from ttom.vision.grounding_dino import GroundingDino

    detector = GroundingDino(name)

    def find(video: np.ndarray, nouns: Sequence[str]) -> list[list[Found]]:
        import numpy as np

        chosen = np.linspace(0, len(video) - 1, min(FRAMES, len(video))).round().astype(int)
        return [[one for noun in nouns for one in _ground(detector, video[i], noun)] for i in chosen]

    return find


def _ground(detector: GroundingDino, picture: np.ndarray, noun: str) -> list[Found]:
    """The likeliest boxes of a noun, without those that show the same thing again."""
    import numpy as np

    from ttom.emojiworld.metrics import iou

    seen = detector.query(picture, f"a {noun}.")
    scores = seen.scores.max(axis=1)
    kept: list[Box] = []
    for i in np.argsort(-scores):
        if scores[i] < SCORE:
            break
        x, y, width, height = map(float, seen.boxes[i])
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if all(iou(box, other) < SAME for other in kept):
            kept.append(box)
    return [Found(noun, box) for box in kept]
