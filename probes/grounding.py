"""GroundingDINO and SAM 2 from transformers: boxes on key frames from text, masks tracked forward and backward.

Frames are preprocessed here: transformers' own SAM 2 processor needs torchvision, the models do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from probes import boxes
from probes.boxes import Found
from ttom.backbones.loading import no_progress_bars
from ttom.errors import SetupError
from ttom.layout.model import ObjectGroup

DETECTOR = "IDEA-Research/grounding-dino-base"
TRACKER = "facebook/sam2.1-hiera-large"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which SAM 2 was trained
_CORNERS = torch.tensor([[[2, 3]]], dtype=torch.int32)  # SAM 2's labels for the two corners of a box


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
        from transformers import (
            AutoTokenizer,
            GroundingDinoForObjectDetection,
            GroundingDinoImageProcessorPil,
            Sam2VideoModel,
        )

        self.name = f"{detector} + {tracker} (transformers)"
        self._device = torch.device(device)
        self._tokenizer = _loaded(AutoTokenizer, detector)
        self._prepare = _loaded(GroundingDinoImageProcessorPil, detector)
        self._detector = _loaded(GroundingDinoForObjectDetection, detector).float().eval().to(self._device)
        self._tracker = _loaded(Sam2VideoModel, tracker).float().eval().to(self._device)

    @torch.no_grad()
    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        """Masks ``(N, T, height, width)`` of a uint8 video ``(T, height, width, 3)``; see ``Segmenter``."""
        phrases = [group.phrase for group in groups]
        found = {frame: self.detect(video[frame], phrases) for frame in boxes.key_frames(len(video))}
        masks = np.zeros((len(phrases), *video.shape[:3]), dtype=bool)
        for frame, objects in boxes.anchors(found).items():
            self._track(video, frame, objects, masks)
        return masks

    @torch.no_grad()
    def detect(self, picture: np.ndarray, phrases: Sequence[str]) -> list[Found]:
        """The boxes of the phrases in a uint8 picture ``(height, width, 3)``."""
        height, width = picture.shape[:2]
        text, spans = boxes.caption(phrases)
        words = self._tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = words.pop("offset_mapping")[0].tolist()
        pixels = self._prepare(images=picture, return_tensors="pt")
        output = self._detector(**{name: value.to(self._device) for name, value in {**pixels, **words}.items()})
        scores = output.logits[0].sigmoid().cpu().numpy()[:, : len(offsets)]
        return boxes.chosen(scores, output.pred_boxes[0].cpu().numpy(), offsets, spans, (width, height))

    def _track(self, video: np.ndarray, frame: int, objects: list[Found], masks: np.ndarray) -> None:
        """Track the boxes of a frame to both ends of the video and add their masks to ``masks``."""
        from transformers import Sam2VideoInferenceSession

        height, width = video.shape[1:3]
        side = self._tracker.config.image_size
        session = Sam2VideoInferenceSession(
            _pixels(video, side),
            height,
            width,
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        scale = torch.tensor([side / width, side / height])
        for number, found in enumerate(objects):
            corners = torch.tensor(found.box).reshape(1, 1, 2, 2) * scale
            prompt = {"point_coords": corners, "point_labels": _CORNERS}
            session.add_point_inputs(session.obj_id_to_idx(number), frame, prompt)
        session.obj_with_new_inputs = list(range(len(objects)))
        self._tracker(session, frame_idx=frame)
        for backwards in (False, True):
            for seen in self._tracker.propagate_in_video_iterator(session, start_frame_idx=frame, reverse=backwards):
                logits = functional.interpolate(seen.pred_masks, (height, width), mode="bilinear", align_corners=False)
                for found, mask in zip(objects, (logits[:, 0] > 0).cpu().numpy(), strict=True):
                    masks[found.phrase, seen.frame_idx] |= mask


def _pixels(video: np.ndarray, side: int) -> Tensor:
    """uint8 ``(T, height, width, 3)`` -> ``(T, 3, side, side)`` as SAM 2 expects it: stretched, normalized."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    frames = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255
    return (functional.interpolate(frames, (side, side), mode="bilinear", antialias=True) - mean) / std


def _loaded(kind: Any, source: str) -> Any:
    try:
        with no_progress_bars():
            return kind.from_pretrained(source)
    except Exception as error:  # the Hub client and safetensors raise errors of their own
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SetupError(
            f"the {kind.__name__} of {source!r} cannot be loaded: {line}",
            expected="the id of a Hub repository that can be reached, or a folder written by save_pretrained",
            remedy="check the name and the network, or download it and pass the folder",
        ) from error
