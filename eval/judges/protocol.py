"""What a judge is, and the forms of its answers.

========  ==================================================  =======================================================
kind      question                                            value
========  ==================================================  =======================================================
detect    text: what to find; options: frames, thresholds     for each frame, objects: {"box", "score", "phrase"}
segment   like detect                                         the same with "mask", an encoded bool array ``(H, W)``
depth     options: frames                                     encoded uint8 ``(T, H, W)``, larger is nearer
track     text: the objects; options: frames                  {"tracks": encoded float32 ``(T, N, 2)`` in shares of the
                                                              picture, "visible": encoded bool ``(T, N)``}
scene     options: frames                                     for each frame all objects that the judge knows:
                                                              {"noun", "score", "box", "color"}, null for no color
blobs     options: frames                                     for each frame the connected things: {"box", "color"}
picture   options: frames                                     encoded float32 ``(n,)``, see eval/metrics/picture.py
flicker   text: the objects; options like detect              a number, 0..255
dialogue  text: the name of a dialogue; options: its facts,   {"choices": its value, "replies": all texts}
          temperature, seed
========  ==================================================  =======================================================

A judge that cannot answer a question says why instead: {"refused": "reason"}. That is an answer, too, and is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eval.judges.video import read_video
from eval.types import Question

REFUSED = "refused"


@dataclass(frozen=True)
class Video:
    """A video file to judge.

    Attributes:
        sha256: Of the file.
        frames: Number of frames that the manifest says; None if it does not.
    """

    path: Path
    sha256: str
    frames: int | None = None

    @cached_property
    def pictures(self) -> np.ndarray:
        """uint8 ``(T, H, W, 3)``. Raises VideoError if the file is missing, broken, or not the recorded one."""
        return read_video(self.path, frames=self.frames, sha256=self.sha256)


@dataclass(frozen=True)
class Reply:
    """A judge's answer to one question, with what it took."""

    question: Question
    value: Any
    seconds: float = 0.0
    cost: float | None = None


class Judge(Protocol):
    """Answers questions about videos.

    Attributes:
        name: What tables call it.
        version: Changes whenever it might answer differently: names or digests of weights, settings.
        kinds: Kinds of questions that it answers.
        workers: How many videos may be asked about at once, each from a thread of its own.
    """

    name: str
    version: str
    kinds: frozenset[str]
    workers: int

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        """The answers, in any order, each as soon as it is there; a question without one is asked again another time.

        Raises:
            VideoError: The video cannot be read.
            UserError: The judge cannot go on with any video.
        """
        ...


def refused(reason: str) -> dict[str, str]:
    """The value of an answer that a judge cannot give."""
    return {REFUSED: reason}


def refusal(value: Any) -> str | None:
    """The reason in such a value; None for any other."""
    return str(value[REFUSED]) if isinstance(value, dict) and set(value) == {REFUSED} else None


def version_of(*parts: Any) -> str:
    """A short hash of all that decides a judge's answers."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
