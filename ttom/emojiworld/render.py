"""Draw scenes on a device, many at once. Dimension letters: B scenes, S object slots, V vertices, T frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttom.emojiworld.colors import COLOR_INDEX, tinted_sprites
from ttom.emojiworld.scene import FRAMES, HEIGHT, SLOTS, VERTICES, WIDTH, Scene

Packed = dict[str, Tensor]
"""Painted scenes as tensors: "path" ``(B, S, V, 3)``, x y and time of each vertex, the last one repeated; "size"
``(B, S)`` in pixels; "noun" ``(B, S)`` int64, -1 in empty slots; "color" ``(B, S)`` int64, 0 natural, else 1 + index of
the color; "visible" ``(B, S, 2)``; "back" ``(B, 7)``, two RGB colors and the gradient's angle."""
PACKED = ("path", "size", "noun", "color", "visible", "back")


def pack(scenes: Sequence[Scene]) -> Packed:
    """Painted scenes as the renderer reads them."""
    count = len(scenes)
    path = np.zeros((count, SLOTS, VERTICES, 3), dtype=np.float32)
    size, visible = np.ones((count, SLOTS), dtype=np.float32), np.zeros((count, SLOTS, 2), dtype=np.float32)
    noun, color = np.full((count, SLOTS), -1), np.zeros((count, SLOTS), dtype=np.int64)
    back = np.zeros((count, 7), dtype=np.float32)
    for i, scene in enumerate(scenes):
        for j, thing in enumerate(scene.things):
            points = [(*point, time) for point, time in zip(thing.path, thing.vertex_times(), strict=True)]
            path[i, j] = points + points[-1:] * (VERTICES - len(points))
            size[i, j], noun[i, j], visible[i, j] = thing.size, thing.noun, thing.visible
            color[i, j] = 0 if thing.color is None else 1 + COLOR_INDEX[thing.color]
        first, second, angle = scene.background
        back[i] = (*first, *second, angle)
    arrays = {"path": path, "size": size, "noun": noun, "color": color, "visible": visible, "back": back}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def centers(path: Tensor, times: Tensor) -> Tensor:
    """Centers ``(B, S, T, 2)`` of paths ``(B, S, V, 3)`` at times ``(B, T)``: linear between the vertices."""
    points, at = path[..., :2], path[..., 2]
    lengths = at[..., 1:] - at[..., :-1]
    done = (times[:, None, None] - at[..., :-1, None]) / lengths.clamp(min=1e-6)[..., None]  # (B, S, V - 1, T)
    steps = (points[..., 1:, :] - points[..., :-1, :])[..., None, :] * done.clamp(0, 1)[..., None]
    return points[..., :1, :] + steps.sum(2)


class Renderer:
    """Draws packed scenes."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        rgba = torch.from_numpy(tinted_sprites()).clone()
        rgba[:, :, :3] *= rgba[:, :, 3:]  # multiplied by alpha, so that interpolation has no dark fringes
        self.sprites = rgba.to(device)
        y, x = torch.meshgrid(
            torch.arange(HEIGHT, device=device) + 0.5, torch.arange(WIDTH, device=device) + 0.5, indexing="ij"
        )
        self.x, self.y = x, y

    @torch.no_grad()
    def __call__(self, packed: Packed, times: Tensor) -> tuple[Tensor, Tensor]:
        """Render.

        Args:
            packed: See `pack`, on the renderer's device.
            times: ``(T,)`` or ``(B, T)`` in 0..1, 0 the first frame and 1 the last.

        Returns:
            Frames ``(B, 3, T, HEIGHT, WIDTH)`` in -1..1, and the visible noun of each pixel, int16
            ``(B, T, HEIGHT, WIDTH)``, -1 where the background shows.
        """
        noun, back = packed["noun"], packed["back"]
        batch = len(noun)
        times = times.expand(batch, -1) if times.dim() == 1 else times
        count = times.shape[1]
        angle = back[:, 6, None, None]
        slope = (self.x / WIDTH - 0.5) * angle.cos() + (self.y / HEIGHT - 0.5) * angle.sin() + 0.5
        slope = slope.clamp(0, 1)[:, None]
        color = back[:, :3, None, None] * (1 - slope) + back[:, 3:6, None, None] * slope
        frames = color[:, None].expand(-1, count, -1, -1, -1).clone()
        labels = torch.full((batch, count, HEIGHT, WIDTH), -1, dtype=torch.int16, device=noun.device)
        places = centers(packed["path"], times)
        for slot in range(noun.shape[1]):
            used = (noun[:, slot] >= 0).nonzero()[:, 0]
            if len(used):
                self._paste(frames, labels, packed, places[:, slot], times, slot, used)
        return frames.permute(0, 2, 1, 3, 4) * 2 - 1, labels

    def _paste(
        self, frames: Tensor, labels: Tensor, packed: Packed, places: Tensor, times: Tensor, slot: int, used: Tensor
    ) -> None:
        center, times = places[used], times[used]
        half = (packed["size"][used, slot] / 2)[:, None, None, None]
        grid = torch.stack(
            [(self.x - center[..., 0, None, None]) / half, (self.y - center[..., 1, None, None]) / half], -1
        )
        count = times.shape[1]
        noun = packed["noun"][used, slot]
        sprite = self.sprites[packed["color"][used, slot], noun].repeat_interleave(count, 0)
        drawn = F.grid_sample(sprite, grid.flatten(0, 1), align_corners=False).unflatten(0, (-1, count))
        first, last = packed["visible"][used, slot, :, None].unbind(1)
        drawn = drawn * ((times >= first) & (times <= last))[:, :, None, None, None]
        alpha = drawn[:, :, 3:]
        frames[used] = frames[used] * (1 - alpha) + drawn[:, :, :3]
        labels[used] = torch.where(alpha[:, :, 0] > 0.5, noun.to(torch.int16)[:, None, None, None], labels[used])


def frame_times(count: int = FRAMES) -> Tensor:
    """The times of so many frames, evenly from 0 to 1."""
    return torch.linspace(0, 1, count)
