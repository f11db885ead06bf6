"""The picture of attention maps: over the video's frames, with numbers that mean something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ttom import TTOM
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.figure import soft_iou
from ttom.result import Result

SETTINGS = Settings(
    sampler=SamplerConfig(steps=2, guidance_scale=2.0, frames=5, height=16, width=32, fps=8, max_sequence_length=24),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1,), lr=1e-2, guided_steps=1, iterations=1),
)


@pytest.fixture(scope="module")
def results(tiny_folder: Path) -> dict[str, Result]:
    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        prompt = "A dog above a house"
        return {method: runner.generate(prompt, method=method, settings=SETTINGS) for method in ("ttom", "base")}


def picture(result: Result, path: Path) -> np.ndarray:
    assert result.draw_attention(path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_video_is_under_the_maps(results: dict[str, Result], tmp_path: Path) -> None:
    """A green video makes a greener picture than a black one, at the same size."""
    video = np.zeros_like(results["ttom"].video)
    green = video.copy()
    green[..., 1] = 255
    black, colored = (picture(replace(results["ttom"], video=v), tmp_path / "a.png") for v in (video, green))
    assert black.shape == colored.shape
    change = (colored - black)[..., 1]
    assert change.max() > 60 and (change > 30).mean() > 0.2


def test_methods_without_optimization_have_one_row_an_object(results: dict[str, Result], tmp_path: Path) -> None:
    both, one = (picture(results[method], tmp_path / f"{method}.png") for method in ("ttom", "base"))
    assert both.shape[0] > 1.5 * one.shape[0] and both.shape[1] == one.shape[1]


def test_many_objects_and_empty_masks_are_drawn(results: dict[str, Result], tmp_path: Path) -> None:
    result = results["ttom"]
    assert result.masks is not None
    masks = replace(result.masks, masks=torch.zeros_like(result.masks.masks))
    assert picture(replace(result, masks=masks), tmp_path / "a.png").shape[1] > 600


def test_soft_iou() -> None:
    mask = np.zeros((2, 2, 4))
    mask[0, :, :2] = 0.25  # the second frame is without the object
    assert soft_iou(mask, mask) == pytest.approx(1)
    assert soft_iou(7 * mask, mask) == pytest.approx(1)  # scale does not matter
    assert soft_iou(mask[:, :, ::-1], mask) == 0
    even = np.ones((2, 2, 4))
    assert soft_iou(even, mask) == pytest.approx((4 * 0.125) / (4 * 0.25 + 4 * 0.125))
    assert np.isnan(soft_iou(mask, np.zeros_like(mask)))
