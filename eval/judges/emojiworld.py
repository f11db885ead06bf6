"""EmojiWorld's own detector: boxes, colors, masks, point tracks, flicker and picture quality of the world's nouns.

It knows nothing else, so that its scores say something about the embedded models alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from eval.judges.options import JudgeOptions
from eval.judges.protocol import Reply, Video, refused, version_of
from eval.judges.tracks import follow, rigid_tracks
from eval.metrics.arrays import encode
from eval.metrics.frames import spread
from eval.types import Question
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import WEIGHTS, Detection, detect, load_detector
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.quality import PictureStatistics
from ttom.emojiworld.scene import HEIGHT, WIDTH
from ttom.layout.rules.words import singular


class EmojiWorldJudge:
    """See `Judge`. Thresholds of questions are ignored: the detector has one of its own."""

    name = "emojiworld"
    kinds = frozenset({"detect", "segment", "track", "flicker", "scene", "picture"})
    workers = 1

    def __init__(self, device: str = "cpu") -> None:
        self.version = version_of(WEIGHTS.read_bytes(), 1)
        self._detector = load_detector(device)
        self._device = device
        self._statistics: PictureStatistics | None = None

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        pictures = shrink(video.pictures)
        if pictures is None:
            for question in questions:
                yield Reply(question, refused("not a video of EmojiWorld"))
            return
        tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().to(self._device) / 127.5 - 1
        colors = any(question.kind == "scene" for question in questions)
        found = detect(self._detector, tensor, colors=colors)
        nouns: np.ndarray | None = None
        for question in questions:
            if question.kind == "segment" and nouns is None:
                nouns = self._nouns(tensor)
            if question.kind == "picture":
                yield Reply(question, self._moments(tensor, question))
                continue
            yield Reply(question, self._value(question, pictures, found, nouns))

    def _value(
        self, question: Question, pictures: np.ndarray, found: list[list[Detection]], nouns: np.ndarray | None
    ) -> Any:
        chosen = spread(len(pictures), int(question.options["frames"]))
        if question.kind == "scene":
            return [[_named(one) for one in found[i]] for i in chosen]
        names = question.text.split(" . ") if question.text else []
        wanted = {known(name, self._detector.noun_count): name for name in names}
        if None in wanted:
            return refused(f"not a noun of EmojiWorld: {wanted[None]}")
        if question.kind == "flicker":
            return metrics.flicker(pictures[chosen], [found[i] for i in chosen])
        frames = [[one for one in found[i] if one.noun in wanted] for i in chosen]
        if question.kind == "track":
            return rigid_tracks(*follow([[(one.noun, one.box) for one in frame] for frame in frames]))
        items = [[_item(one, wanted[one.noun]) for one in frame] for frame in frames]
        if question.kind == "segment":
            assert nouns is not None
            for i, frame, row in zip(chosen, frames, items, strict=True):
                for one, item in zip(frame, row, strict=True):
                    item["mask"] = encode(_inside(nouns[i], one))
        return items

    def _moments(self, tensor: torch.Tensor, question: Question) -> Any:
        if self._statistics is None:  # its true pictures take a second
            self._statistics = PictureStatistics(self._detector)
        return encode(self._statistics.moments(tensor[spread(len(tensor), int(question.options["frames"]))]))

    @torch.no_grad()
    def _nouns(self, tensor: torch.Tensor) -> np.ndarray:
        """The noun of every pixel ``(T, H, W)``; len(NOUNS) is the background."""
        logits = functional.interpolate(self._detector(tensor)[2], tensor.shape[2:], mode="bilinear")
        return logits.argmax(1).cpu().numpy()


def make(options: JudgeOptions) -> EmojiWorldJudge:
    return EmojiWorldJudge(options.device)


def known(name: str, count: int = len(NOUNS)) -> int | None:
    """Index of a noun in the singular or plural, with or without words before it ("red balloons").

    None if it is not among the world's first `count` nouns, which are those that the detector was trained on.
    """
    words = singular(name).split()
    index = next((INDEX[noun] for i in range(len(words)) if (noun := " ".join(words[i:])) in INDEX), count)
    return index if index < count else None


def shrink(pictures: np.ndarray) -> np.ndarray | None:
    """A video in the size that the detector knows: the mean of each block where it was enlarged; None if it is not."""
    frames, height, width, _ = pictures.shape
    factor = height // HEIGHT
    if (height, width) != (factor * HEIGHT, factor * WIDTH) or not factor:
        return None
    blocks = pictures.reshape(frames, HEIGHT, factor, WIDTH, factor, 3).astype(np.float32)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def _named(one: Detection) -> dict[str, Any]:
    return _item(one, "") | {"noun": NOUNS[one.noun].name, "color": one.color}


def _item(one: Detection, phrase: str) -> dict[str, Any]:
    return {"box": [round(side, 5) for side in one.box], "score": round(one.score, 4), "phrase": phrase}


def _inside(nouns: np.ndarray, one: Detection) -> np.ndarray:
    """The noun's pixels inside its box."""
    height, width = nouns.shape
    x0, y0, x1, y1 = one.box
    mask = np.zeros(nouns.shape, bool)
    box = slice(int(y0 * height), int(np.ceil(y1 * height))), slice(int(x0 * width), int(np.ceil(x1 * width)))
    mask[box] = nouns[box] == one.noun
    return mask
