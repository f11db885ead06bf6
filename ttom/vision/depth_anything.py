"""Depth-Anything: relative depth of pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ttom.vision.loading import load_pretrained


class DepthAnything:
    """A DepthAnythingForDepthEstimation with its image processor, in float32.

    Args:
        source: Hub id or folder.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

        self.device = torch.device(device)
        self.processor = load_pretrained(DPTImageProcessorPil, source)
        self.model = load_pretrained(DepthAnythingForDepthEstimation, source).float().eval().to(self.device)

    @torch.no_grad()
    def depth(self, picture: np.ndarray) -> np.ndarray:
        """Depth of a uint8 picture ``(H, W, 3)``: uint8 ``(H, W)``, 0 the farthest pixel, 255 the nearest."""
        height, width = picture.shape[:2]
        pixels = self.processor(images=picture, return_tensors="pt")["pixel_values"]
        output = self.model(pixels.to(self.device)).predicted_depth
        depth = functional.interpolate(output[:, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
        depth = depth - depth.min()
        span = depth.max()
        return (depth / torch.where(span > 0, span, 1) * 255).to(torch.uint8).cpu().numpy()
