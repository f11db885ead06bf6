"""A small per-frame detector and segmenter of the world's nouns.

A U-Net reads one frame and gives, at half resolution, for each noun a heat map of object centers, the objects' width
and height, and the noun of every pixel. Objects are the local maxima of the heat maps. Dimension letters: B frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ttom.emojiworld.colors import name_color
from ttom.emojiworld.nouns import NOUNS

WEIGHTS = Path(__file__).with_name("detector.safetensors")
STRIDE = 2
THRESHOLD = 0.35


@dataclass(frozen=True)
class Detection:
    """One object in one frame.

    Attributes:
        noun: Index in NOUNS.
        score: Probability.
        box: x0 y0 x1 y1 as shares of the picture.
        color: Color word nearest to the object's pixels; None where nobody read it.
    """

    noun: int
    score: float
    box: tuple[float, float, float, float]
    color: str | None = None


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
    """Frames ``(B, 3, H, W)`` in -1..1 -> center logits ``(B, nouns, H/2, W/2)``, sizes ``(B, 2, H/2, W/2)`` as shares
    of 32 pixels, and pixel logits ``(B, nouns + 1, H/2, W/2)`` whose last class is the background.

    Args:
        nouns: The first of NOUNS that it knows.
        width: Channels of the finest level.
    """

    def __init__(self, nouns: int = len(NOUNS), width: int = 48) -> None:
        super().__init__()
        self.noun_count = nouns
        self.down1 = _block(3, width, 2)
        self.down2 = _block(width, 2 * width, 2)
        self.down3 = _block(2 * width, 3 * width, 2)
        self.down4 = _block(3 * width, 3 * width, 2)
        self.up3 = _block(6 * width, 2 * width)
        self.up2 = _block(4 * width, 2 * width)
        self.up1 = _block(3 * width, 2 * width)
        self.centers = nn.Conv2d(2 * width, nouns, 1)
        self.sizes = nn.Conv2d(2 * width, 2, 1)
        self.pixels = nn.Conv2d(2 * width, nouns + 1, 1)
        nn.init.constant_(self.centers.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = self.down1(frames)
        b = self.down2(a)
        c = self.down3(b)
        d = self.down4(c)
        c = self.up3(torch.cat([c, F.interpolate(d, scale_factor=2.0)], 1))
        b = self.up2(torch.cat([b, F.interpolate(c, scale_factor=2.0)], 1))
        a = self.up1(torch.cat([a, F.interpolate(b, scale_factor=2.0)], 1))
        return self.centers(a), self.sizes(a), self.pixels(a)


def load_detector(device: torch.device | str = "cpu", weights: Path = WEIGHTS) -> Detector:
    """The trained detector, which knows as many nouns as its weights have channels."""
    tensors = {name.replace("centres.", "centers."): tensor for name, tensor in load_file(weights).items()}
    detector = Detector(len(tensors["centers.weight"]))
    detector.load_state_dict(tensors)
    return detector.float().eval().to(device)


@torch.no_grad()
def detect(
    detector: Detector, frames: Tensor, threshold: float = THRESHOLD, colors: bool = False
) -> list[list[Detection]]:
    """Objects in each frame ``(B, 3, H, W)`` in -1..1; of several nouns at one place the likeliest is kept.

    Args:
        threshold: Minimum score.
        colors: Read each object's color off its segmented pixels, too.
    """
    centers, sizes, pixels = detector(frames)
    heat = centers.sigmoid()
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
    if not colors:
        return found
    labels = pixels.argmax(1).cpu().numpy()
    pictures = (frames[:, :, ::STRIDE, ::STRIDE].permute(0, 2, 3, 1).float().cpu().numpy() + 1) / 2
    return [
        [_colored(d, label, picture) for d in row] for row, label, picture in zip(found, labels, pictures, strict=True)
    ]


def _colored(found: Detection, labels: np.ndarray, picture: np.ndarray) -> Detection:
    """With the color of the pixels ``(h, w, 3)`` inside its box that are labeled ``(h, w)`` as its noun."""
    height, width = labels.shape
    x0, y0, x1, y1 = found.box
    inside = slice(int(y0 * height), math.ceil(y1 * height)), slice(int(x0 * width), math.ceil(x1 * width))
    pixels = picture[inside][labels[inside] == found.noun]
    return replace(found, color=name_color(pixels)) if len(pixels) >= 3 else found


def detect_video(detector: Detector, video: np.ndarray, colors: bool = False) -> list[list[Detection]]:
    """Objects in each frame of a uint8 video ``(T, H, W, 3)``."""
    pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1
    return detect(detector, pixels.to(next(detector.parameters()).device), colors=colors)


@torch.no_grad()
def segment(detector: Detector, frames: Tensor) -> Tensor:
    """Noun of each pixel at half resolution, ``(B, H/2, W/2)`` int64; the number of nouns is the background."""
    return detector(frames)[2].argmax(1)
