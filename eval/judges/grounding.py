"""GroundingDINO and SAM 2 from transformers, queried as T2V-CompBench does: each text alone, with decoded phrases.

The official toolkit runs the original code of GroundingDINO, SAM (1) and DOT: scores from here are proxies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.judges.options import JudgeOptions
from eval.judges.protocol import Reply, Video, version_of
from eval.judges.tracks import follow_masks, rigid_tracks
from eval.metrics.adherence import flicker
from eval.metrics.arrays import encode
from eval.metrics.frames import spread
from eval.types import Question
from ttom.provenance import digest
from ttom.vision.grounding_dino import GroundingDino
from ttom.vision.sam2 import Sam2

Item = dict[str, Any]
_SEPARATOR = " . "
"""Between the texts of a question about several objects."""


class GroundingJudge:
    """See `Judge`.

    Args:
        detector: Hub id or folder of a GroundingDinoForObjectDetection.
        segmenter: Hub id or folder of a Sam2VideoModel.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    name = "grounding"
    kinds = frozenset({"detect", "segment", "track", "flicker"})
    workers = 1

    def __init__(self, detector: str, segmenter: str, device: str = "cpu") -> None:
        self._detector = GroundingDino(detector, device)
        self._segmenter = Sam2(segmenter, device)
        self.version = version_of(
            weights_name(detector, self._detector.model), weights_name(segmenter, self._segmenter.model), 1
        )

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        kinds = {"detect": self._detect, "segment": self._segment, "track": self._track, "flicker": self._flicker}
        for question in questions:
            frames = video.pictures[spread(len(video.pictures), int(question.options["frames"]))]
            yield Reply(question, kinds[question.kind](frames, question))

    def find(self, picture: np.ndarray, text: str, box_threshold: float, text_threshold: float) -> list[Item]:
        """Boxes of a text in a picture ``(H, W, 3)``, in the model's order; the phrase is what its tokens say."""
        seen = self._detector.query(picture, _caption(text))
        items = []
        for scores, (x, y, width, height) in zip(seen.scores, seen.boxes, strict=True):
            if scores.max() <= box_threshold:
                continue
            # Only the first token, [CLS], is never part of a phrase; a full stop may be, which spoils the phrase.
            tokens = [token for token, score in zip(seen.tokens[1:], scores[1:], strict=True) if score > text_threshold]
            box = [float(side) for side in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)]
            items.append({"box": box, "score": float(scores.max()), "phrase": self._detector.decode(tokens)})
        return items

    def _detect(self, frames: np.ndarray, question: Question) -> list[list[Item]]:
        options = question.options
        return [
            self.find(picture, question.text, options["box_threshold"], options["text_threshold"]) for picture in frames
        ]

    def _segment(self, frames: np.ndarray, question: Question) -> list[list[Item]]:
        found = self._detect(frames, question)
        for picture, items in zip(frames, found, strict=True):
            masks = self._segmenter.masks(picture, [_pixels(item["box"], picture) for item in items])
            for item, mask in zip(items, masks, strict=True):
                item["mask"] = encode(mask)
        return found

    def _track(self, frames: np.ndarray, question: Question) -> Any:
        """The best box of each object in the first frame, followed as a mask."""
        boxes = []
        for text in question.text.split(_SEPARATOR):
            found = self.find(frames[0], text, 0.3, 0.25)
            if found:
                boxes.append(_pixels(max(found, key=lambda item: item["score"])["box"], frames[0]))
        masks = np.zeros((len(boxes), *frames.shape[:3]), bool)
        if boxes:
            for frame, seen in self._segmenter.track(frames, 0, boxes):
                masks[:, frame] = seen
        return rigid_tracks(*follow_masks(masks))

    def _flicker(self, frames: np.ndarray, question: Question) -> float:
        options = question.options
        boxes: list[list[Any]] = [[] for _ in frames]
        for text in question.text.split(_SEPARATOR):
            for picture, row in zip(frames, boxes, strict=True):
                found = self.find(picture, text, options["box_threshold"], options["text_threshold"])
                row += [tuple(item["box"]) for item in found]
        return flicker(frames, boxes)


def make(options: JudgeOptions) -> GroundingJudge:
    return GroundingJudge(options.grounding.detector, options.grounding.segmenter, options.device)


def weights_name(source: str, model: Any) -> str:
    """What tells two sets of weights apart: a folder's digest, or a Hub id with its commit."""
    if Path(source).is_dir():
        return digest(Path(source))
    return f"{source}@{getattr(model.config, '_commit_hash', None)}"


def _caption(text: str) -> str:
    text = text.lower().strip()
    return text if text.endswith(".") else f"{text}."


def _pixels(box: Sequence[float], picture: np.ndarray) -> tuple[float, float, float, float]:
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    return x0 * width, y0 * height, x1 * width, y1 * height
