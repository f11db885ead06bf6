"""Previews of the clean video that a step predicts: one frame, decoded by the VAE or by a linear map of latents to RGB.

The map is learned from the frames that the VAE decoded before, in this process, and costs nearly nothing. The VAE is
asked only while all previews together take less than a tenth of the run's time, and the map only if it takes less than
a tenth of a step.
"""

from __future__ import annotations

import io
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ttom import files
from ttom.errors import first_line

if TYPE_CHECKING:
    from ttom.prepare import Prepared

_log = logging.getLogger(__name__)

NAME = "preview.png"
SHARE = 0.1
"""Of the run's time that the VAE may take, and of a step's that the map may take."""
_SIDE = 240  # pixels of a preview's height, roughly
_SAMPLES = 8192  # latent pixels that the map is fitted to, the newest
_RIDGE = 1e-3


class Colors:
    """A linear map from a pixel of the latents to RGB, fitted to decoded frames; it gets better with each of them."""

    def __init__(self) -> None:
        self._latents = self._pixels = np.zeros((0, 0), np.float64)
        self._weights: np.ndarray | None = None
        self.decode_seconds: float | None = None
        """What the VAE took for the last frame; None before the first."""

    def learn(self, latents: np.ndarray, picture: np.ndarray) -> None:
        """Add a frame: latents ``(C, h, w)`` and what the VAE makes of them, uint8 ``(H, W, 3)``."""
        channels, height, width = latents.shape
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
        new_pixels = np.asarray(small, np.float64).reshape(-1, 3) / 255
        new_latents = latents.reshape(channels, -1).T.astype(np.float64)
        if self._latents.shape[1:] == (channels,):
            new_latents = np.concatenate([self._latents, new_latents])[-_SAMPLES:]
            new_pixels = np.concatenate([self._pixels, new_pixels])[-_SAMPLES:]
        self._latents, self._pixels = new_latents, new_pixels
        design = np.concatenate([new_latents, np.ones((len(new_latents), 1))], axis=1)
        squares = design.T @ design + _RIDGE * len(design) * np.eye(channels + 1)
        self._weights = np.linalg.solve(squares, design.T @ new_pixels)

    def picture(self, latents: np.ndarray) -> np.ndarray | None:
        """The colors of latents ``(C, h, w)``, uint8 ``(h, w, 3)``; None before the first frame was learned."""
        channels, height, width = latents.shape
        if self._weights is None or len(self._weights) != channels + 1:
            return None
        values = latents.reshape(channels, -1).T @ self._weights[:-1] + self._weights[-1]
        return (255 * np.clip(values, 0, 1)).round().astype(np.uint8).reshape(height, width, 3)


class Previews:
    """The previews of one video.

    Args:
        prepared: The prompt, made ready.
        folder: Where preview.png goes, the newest in place of the one before.
        colors: The map, shared by all videos of a model.
    """

    def __init__(self, prepared: Prepared, folder: Path, colors: Colors) -> None:
        self._backbone, self._levels = prepared.backbone, prepared.noise_levels
        self._path, self._colors = folder / NAME, colors
        self._last: Tensor | None = None
        self._began = self._spent = self._cheap = 0.0
        self._off = False

    def show(self, index: int, latents: Tensor) -> bool:
        """Look at the latents before a step; whether there is a new preview, of what the last step predicted."""
        if self._off:
            return False
        now, last = time.perf_counter(), self._last
        self._last = latents
        if last is None:
            self._began = now
            return False
        allowed = SHARE * (now - self._began - self._spent)
        known = self._colors.decode_seconds
        decode = known is None or self._spent + known <= allowed
        if not decode and self._cheap > allowed / index:
            self._cheap *= 0.8  # a busy machine may have been the reason: look again later
            return False
        if self._levels[index - 1] <= self._levels[index]:
            return False
        try:
            shown = self._write(self._clean(index, last, latents), decode=decode)
        except (RuntimeError, OSError) as error:  # out of memory, or a full disk: the run itself may well end
            _log.warning("warning: no previews of this run: %s", first_line(error))
            self._off = True
            return False
        cost = time.perf_counter() - now
        self._spent += cost
        if not decode:
            self._cheap = cost
        return shown

    def _clean(self, index: int, before: Tensor, after: Tensor) -> Tensor:
        """The middle latent frame without its noise, from the latents before and after the last step.

        Where signal and noise sum to 1 a step is a straight line, and at its end, at noise level 0, is the clean video.
        """
        noisy, less = self._levels[index - 1 : index + 1]
        flow = "flow" in str(self._backbone.pipe.scheduler.config.get("prediction_type", "flow"))
        old, new = (
            _frame(self._backbone.pipe, latents).float() * (1.0 if flow else ((1 - level) ** 2 + level**2) ** 0.5)
            for latents, level in ((before, noisy), (after, less))
        )
        return ((noisy * new - less * old) / (noisy - less)).to(before.dtype)

    @torch.no_grad()
    def _write(self, clean: Tensor, *, decode: bool) -> bool:
        pixels = clean[0, -1] if _joined(self._backbone.pipe) else clean[0, :, -1]
        latents = pixels.float().cpu().numpy()
        if decode:
            began = time.perf_counter()
            picture: np.ndarray | None = self._backbone.decode(clean)[-1].numpy()
            assert picture is not None
            self._colors.learn(latents, picture)
            self._colors.decode_seconds = time.perf_counter() - began
        else:
            picture = self._colors.picture(latents)
        if picture is None:
            return False
        files.write_bytes(self._path, _png(picture))
        return True


def _joined(pipe: Any) -> int:
    """For CogVideoX, how many latent frames make a token; 0 for models whose latents have channels before frames."""
    if not type(pipe).__name__.startswith("CogVideoX"):
        return 0
    return pipe.transformer.config.patch_size_t or 1


def _frame(pipe: Any, latents: Tensor) -> Tensor:
    """The latent frame in the middle; for CogVideoX 1.5 with its partner, which decoding drops."""
    joined = _joined(pipe)
    if not joined:
        middle = latents.shape[2] // 2
        return latents[:, :, middle : middle + 1]
    middle = max(latents.shape[1] // 2, joined - 1)
    return latents[:, middle - joined + 1 : middle + 1]


def _png(picture: np.ndarray) -> bytes:
    """Smoothly brought to about the preview's height."""
    height, width = picture.shape[:2]
    size = max(1, round(width * _SIDE / height)), _SIDE
    buffer = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()
