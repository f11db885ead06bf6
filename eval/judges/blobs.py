"""A judge without learning: blobs of EmojiWorld's videos with their hues; see `ttom/emojiworld/blobs.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eval.judges.emojiworld import shrink
from eval.judges.options import JudgeOptions
from eval.judges.protocol import Reply, Video, refused, version_of
from eval.metrics.frames import spread
from eval.types import Question
from ttom.emojiworld import blobs


class BlobJudge:
    """See `Judge`."""

    name = "blobs"
    version = version_of(1, blobs.LEAST_DISTANCE, blobs.LEAST_PIXELS, blobs.LEAST_SHARE)
    kinds = frozenset({"blobs"})
    workers = 1

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        pictures = shrink(video.pictures)
        for question in questions:
            if pictures is None:
                yield Reply(question, refused("not a video of EmojiWorld"))
                continue
            chosen = pictures[spread(len(pictures), int(question.options["frames"]))]
            yield Reply(question, [_items(frame) for frame in chosen])


def make(options: JudgeOptions) -> BlobJudge:
    return BlobJudge()


def _items(frame: np.ndarray) -> list[dict[str, object]]:
    found = blobs.find_blobs(frame / 255)
    return [{"box": [round(side, 4) for side in one.box], "color": one.color} for one in found]
