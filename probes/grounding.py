"""GroundingDINO and SAM 2 from transformers: boxes on key frames from text, masks tracked forward and backward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probes import boxes
from probes.boxes import Found
from ttom.layout.model import ObjectGroup
from ttom.vision.grounding_dino import GroundingDino
from ttom.vision.sam2 import Sam2

DETECTOR = "IDEA-Research/grounding-dino-base"
TRACKER = "facebook/sam2.1-hiera-large"


class GroundedSegmenter:
    """See ``Segmenter``.

    Args:
        detector: Hub id or folder of a GroundingDinoForObjectDetection with its tokenizer and image processor.
        tracker: Hub id or folder of a Sam2VideoModel.
        device: Device of both models, which run in float32.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    def __init__(self, detector: str = DETECTOR, tracker: str = TRACKER, device: str = "cpu") -> None:
        self.name = f"{detector} + {tracker} (transformers)"
        self._detector = GroundingDino(detector, device)
        self._tracker = Sam2(tracker, device)

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        """Masks ``(N, T, height, width)`` of a uint8 video ``(T, height, width, 3)``; see ``Segmenter``."""
        phrases = [group.phrase for group in groups]
        found = {frame: self.detect(video[frame], phrases) for frame in boxes.key_frames(len(video))}
        masks = np.zeros((len(phrases), *video.shape[:3]), dtype=bool)
        for frame, objects in boxes.anchors(found).items():
            self._track(video, frame, objects, masks)
        return masks

    def detect(self, picture: np.ndarray, phrases: Sequence[str]) -> list[Found]:
        """The boxes of the phrases in a uint8 picture ``(height, width, 3)``."""
        text, spans = boxes.caption(phrases)
        seen = self._detector.query(picture, text)
        height, width = picture.shape[:2]
        return boxes.chosen(seen.scores, seen.boxes, seen.offsets, spans, (width, height))

    def _track(self, video: np.ndarray, frame: int, objects: list[Found], masks: np.ndarray) -> None:
        """Track the boxes of a frame to both ends of the video and add their masks to ``masks``."""
        for at, seen in self._tracker.track(video, frame, [found.box for found in objects]):
            for found, mask in zip(objects, seen, strict=True):
                masks[found.phrase, at] |= mask
