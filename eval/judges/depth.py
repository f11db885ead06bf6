"""Depth-Anything from transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eval.judges.grounding import weights_name
from eval.judges.options import JudgeOptions
from eval.judges.protocol import Reply, Video, version_of
from eval.metrics.arrays import encode
from eval.metrics.frames import spread
from eval.types import Question
from ttom.vision.depth_anything import DepthAnything


class DepthJudge:
    """See `Judge`. Each frame's depth spans 0..255 by itself.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    name = "depth"
    kinds = frozenset({"depth"})
    workers = 1

    def __init__(self, model: str, device: str = "cpu") -> None:
        self._model = DepthAnything(model, device)
        self.version = version_of(weights_name(model, self._model.model), 1)

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        for question in questions:
            frames = video.pictures[spread(len(video.pictures), int(question.options["frames"]))]
            yield Reply(question, encode(np.stack([self._model.depth(picture) for picture in frames])))


def make(options: JudgeOptions) -> DepthJudge:
    return DepthJudge(options.depth.model, options.device)
