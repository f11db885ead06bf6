"""Depth-Anything with tiny random weights, against the steps of transformers itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import DepthAnythingForDepthEstimation

from tests.vision.tiny_depth import save_depth
from ttom.vision.depth_anything import DepthAnything


def test_depth_spans_the_whole_range_in_each_picture(tmp_path: Path, picture: np.ndarray) -> None:
    model = DepthAnything(str(save_depth(tmp_path)))
    depth = model.depth(picture)
    assert depth.shape == picture.shape[:2] and depth.dtype == np.uint8
    assert depth.min() == 0 and depth.max() == 255
    # The same by transformers' own steps
    pixels = model.processor(images=picture, return_tensors="pt")
    with torch.no_grad():
        output = DepthAnythingForDepthEstimation.from_pretrained(tmp_path).eval()(**pixels)
    (raw,) = model.processor.post_process_depth_estimation(output, target_sizes=[picture.shape[:2]])
    order = raw["predicted_depth"].numpy()
    assert np.corrcoef(order.ravel(), depth.ravel())[0, 1] > 0.99
