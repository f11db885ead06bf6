"""A tiny random Depth-Anything, as a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil


def save_depth(folder: Path) -> Path:
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=1, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).eval().save_pretrained(folder)
    size = {"height": 28, "width": 28}
    DPTImageProcessorPil(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return folder
