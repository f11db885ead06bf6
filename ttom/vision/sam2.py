"""SAM 2: masks of boxes, in one picture or tracked through a video.

Frames are preprocessed here: transformers' own SAM 2 processor needs torchvision, the model does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ttom.vision.loading import load_pretrained

Box = tuple[float, float, float, float]
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which SAM 2 was trained
_CORNERS = torch.tensor([[[2, 3]]], dtype=torch.int32)  # SAM 2's labels for the two corners of a box


class Sam2:
    """A Sam2VideoModel in float32.

    Args:
        source: Hub id or folder.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import Sam2VideoModel

        self.device = torch.device(device)
        self.model = load_pretrained(Sam2VideoModel, source).float().eval().to(self.device)

    def masks(self, picture: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """Bool ``(N, H, W)`` of N boxes x0 y0 x1 y1 in pixels of a uint8 picture ``(H, W, 3)``."""
        if not boxes:
            return np.zeros((0, *picture.shape[:2]), bool)
        return next(mask for _, mask in self._track(picture[None], 0, boxes, backward=False))

    def track(self, video: np.ndarray, frame: int, boxes: Sequence[Box]) -> Iterator[tuple[int, np.ndarray]]:
        """Follow the boxes of a frame to the end of the video and back to its start.

        Yields:
            Frame number and masks, bool ``(N, H, W)``; some frames come twice.
        """
        yield from self._track(video, frame, boxes, backward=True)

    @torch.no_grad()
    def _track(
        self, video: np.ndarray, frame: int, boxes: Sequence[Box], *, backward: bool
    ) -> Iterator[tuple[int, np.ndarray]]:
        from transformers import Sam2VideoInferenceSession

        height, width = video.shape[1:3]
        side = self.model.config.image_size
        session = Sam2VideoInferenceSession(
            _pixels(video, side),
            height,
            width,
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        scale = torch.tensor([side / width, side / height])
        for number, box in enumerate(boxes):
            corners = torch.tensor(box).reshape(1, 1, 2, 2) * scale
            prompt = {"point_coords": corners, "point_labels": _CORNERS}
            session.add_point_inputs(session.obj_id_to_idx(number), frame, prompt)
        session.obj_with_new_inputs = list(range(len(boxes)))
        self.model(session, frame_idx=frame)
        for reverse in (False, True) if backward else (False,):
            for seen in self.model.propagate_in_video_iterator(session, start_frame_idx=frame, reverse=reverse):
                logits = functional.interpolate(seen.pred_masks, (height, width), mode="bilinear", align_corners=False)
                yield seen.frame_idx, (logits[:, 0] > 0).cpu().numpy()


def _pixels(video: np.ndarray, side: int) -> Tensor:
    """uint8 ``(T, H, W, 3)`` -> ``(T, 3, side, side)`` as SAM 2 expects it: stretched, normalized."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    frames = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255
    return (functional.interpolate(frames, (side, side), mode="bilinear", antialias=True) - mean) / std
