"""A small per-frame detector and segmenter of the world's nouns.

A U-Net reads one frame and gives, at half resolution, for each noun a heat map of object centres, the objects' width
and height, and the noun of every pixel. Objects are the local maxima of the heat maps. Dimension letters: B frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ttom.emojiworld.nouns import NOUNS

WEIGHTS = Path(__file__).with_name("detector.safetensors")
STRIDE = 2
THRESHOLD = 0.35


@dataclass(frozen=True)
class Detection:
    """One object in one frame: noun index, probability, and box x0 y0 x1 y1 in normalised coordinates."""

    noun: int
    score: float
    box: tuple[float, float, float, float]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class Detector(nn.Module):
    """Frames ``(B, 3, H, W)`` in -1..1 -> centre logits ``(B, nouns, H/2, W/2)``, sizes ``(B, 2, H/2, W/2)`` as shares
    of 32 pixels, and pixel logits ``(B, nouns + 1, H/2, W/2)`` whose last class is the background."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.down1 = _block(3, width, 2)
        self.down2 = _block(width, 2 * width, 2)
        self.down3 = _block(2 * width, 3 * width, 2)
        self.down4 = _block(3 * width, 3 * width, 2)
        self.up3 = _block(6 * width, 2 * width)
        self.up2 = _block(4 * width, 2 * width)
        self.up1 = _block(3 * width, 2 * width)
        self.centres = nn.Conv2d(2 * width, len(NOUNS), 1)
        self.sizes = nn.Conv2d(2 * width, 2, 1)
        self.pixels = nn.Conv2d(2 * width, len(NOUNS) + 1, 1)
        nn.init.constant_(self.centres.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = self.down1(frames)
        b = self.down2(a)
        c = self.down3(b)
        d = self.down4(c)
        c = self.up3(torch.cat([c, F.interpolate(d, scale_factor=2.0)], 1))
        b = self.up2(torch.cat([b, F.interpolate(c, scale_factor=2.0)], 1))
        a = self.up1(torch.cat([a, F.interpolate(b, scale_factor=2.0)], 1))
        return self.centres(a), self.sizes(a), self.pixels(a)


def load_detector(device: torch.device | str = "cpu", weights: Path = WEIGHTS) -> Detector:
    detector = Detector()
    detector.load_state_dict(load_file(weights))
    return detector.float().eval().to(device)


@torch.no_grad()
def detect(detector: Detector, frames: Tensor, threshold: float = THRESHOLD) -> list[list[Detection]]:
    """Objects in each frame ``(B, 3, H, W)`` in -1..1; of several nouns at one place the likeliest is kept."""
    centres, sizes, _ = detector(frames)
    heat = centres.sigmoid()
    best, noun = heat.max(1)
    peak = (best == F.max_pool2d(best[:, None], 5, 1, 2)[:, 0]) & (best > threshold)
    height, width = frames.shape[2:]
    found: list[list[Detection]] = [[] for _ in frames]
    index = peak.nonzero()
    values = torch.stack([best[peak], noun[peak].float(), *(sizes[:, i][peak] * 32 for i in range(2))], 1)
    for (b, y, x), (score, n, w, h) in zip(index.cpu().numpy(), values.cpu().numpy(), strict=True):
        cx, cy = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
        box = ((cx - w / 2) / width, (cy - h / 2) / height, (cx + w / 2) / width, (cy + h / 2) / height)
        x0, y0, x1, y1 = np.clip(box, 0, 1).tolist()
        found[b].append(Detection(int(n), float(score), (x0, y0, x1, y1)))
    return found


def detect_video(detector: Detector, video: np.ndarray) -> list[list[Detection]]:
    """Objects in each frame of a uint8 video ``(T, H, W, 3)``."""
    pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1
    return detect(detector, pixels.to(next(detector.parameters()).device))


@torch.no_grad()
def segment(detector: Detector, frames: Tensor) -> Tensor:
    """Noun of each pixel at half resolution, ``(B, H/2, W/2)`` int64; len(NOUNS) is the background."""
    return detector(frames)[2].argmax(1)
