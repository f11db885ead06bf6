"""attention.png: where the model looks for each object, over the frames of the video, and where the layout wants it."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ttom.report import Report
from ttom.video import enlarge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4  # frames shown
_OBJECTS = 10  # object groups shown at most
_HEIGHT = 1.35  # inches of a frame


def soft_iou(maps: Float[np.ndarray, "F H W"], masks: Float[np.ndarray, "F H W"]) -> float:
    """Intersection over union of maps and soft masks, each brought to sum 1 a frame; mean over frames with a mask.

    1 where a map is the mask, 0 where it lies beside it. Nothing is thresholded: sum of minima over sum of maxima.
    """
    seen = masks.sum(axis=(1, 2)) > 0
    if not seen.any():
        return float("nan")
    p, q = (a[seen] / np.maximum(a[seen].sum(axis=(1, 2), keepdims=True), 1e-12) for a in (maps, masks))
    shares = np.minimum(p, q).sum(axis=(1, 2)) / np.maximum(p, q).sum(axis=(1, 2))
    return float(shares.mean())


def draw_attention(
    path: Path,
    report: Report,
    names: Sequence[str],
    video: np.ndarray,
    masks: Float[np.ndarray, "N F H W"],
    maps: Mapping[str, Float[np.ndarray, "N F H W"]],
) -> None:
    """Write the picture: for each object group a row of frames with its map, before and after the optimization.

    The mask is outlined; loss and IoU of map and mask stand beside, and a scale for the map's values, which are shares
    of a video token's attention. Without an optimization there is one row an object.

    Args:
        path: The file.
        report: What the caption says of the run.
        names: Of the object groups.
        video: uint8 ``(T, height, width, 3)``.
        masks: The layout on the token grid.
        maps: By stage, "before" and "after" the optimization.
    """
    from matplotlib.figure import Figure

    names = names[:_OBJECTS]
    latent = sorted({round(k) for k in np.linspace(0, masks.shape[1] - 1, min(_COLUMNS, masks.shape[1]))})
    frames = _frames(video, latent, masks.shape[1])

    width = _HEIGHT * frames[0].shape[1] / frames[0].shape[0]
    size = (len(latent) * width + 2.9, len(names) * len(maps) * (_HEIGHT + 0.06) + 0.8)
    figure = Figure(figsize=(max(size[0], 6.0), size[1]), layout="constrained")
    figure.suptitle(_caption(report, figure.get_figwidth()), fontsize=10, parse_math=False)
    grid: Any = figure.subplots(len(names) * len(maps), len(latent), squeeze=False)
    for index, name in enumerate(names):
        rows = grid[index * len(maps) : (index + 1) * len(maps)]
        top = max(float(array[index].max()) for array in maps.values()) or 1.0  # one scale for before and after
        for row, (stage, array) in zip(rows, maps.items(), strict=True):
            iou = soft_iou(array[index], masks[index])
            label = f"{name}\n{stage if len(maps) > 1 else 'plain model'}\nIoU {iou:.2f}"
            row[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center", parse_math=False)
            for axes, k, frame in zip(row, latent, frames, strict=True):
                image = _overlay(axes, frame, array[index, k], masks[index, k], top)
                if axes in grid[0]:
                    axes.set_title(f"frame {_picture(k, masks.shape[1], len(video))}", fontsize=8)
        bar = figure.colorbar(image, ax=rows.ravel().tolist(), fraction=0.03, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        bar.set_label("share of attention", fontsize=7)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the font lacks Chinese: boxes stand for it
        figure.savefig(path, dpi=110)


def _overlay(axes: Axes, frame: np.ndarray, values: np.ndarray, mask: np.ndarray, top: float) -> Any:
    """A frame, darkened where nobody looks, with the map in color and the mask's outline."""
    rows, columns = values.shape
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(frame, extent=extent, interpolation="nearest")
    strength = np.clip(values / top, 0.0, 1.0)
    image = axes.imshow(
        values, cmap="inferno", vmin=0.0, vmax=top, alpha=0.25 + 0.55 * strength, interpolation="bilinear"
    )
    if mask.max() > 0 and mask.min() < mask.max():
        axes.contour(mask, levels=[mask.max() / 2], colors="cyan", linewidths=1.2)
    axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    return image


def _frames(video: np.ndarray, latent: list[int], count: int) -> list[np.ndarray]:
    """The pictures of some latent frames, enlarged if the video is small."""
    chosen = [_picture(k, count, len(video)) for k in latent]
    return list(enlarge(video[chosen], 160))


def _picture(latent: int, count: int, pictures: int) -> int:
    """The picture frame in the middle of what a latent frame stands for."""
    return round(latent * (pictures - 1) / max(count - 1, 1))


def _caption(report: Report, inches: float) -> str:
    prompt = textwrap.shorten(report.prompt, max(40, round(9 * inches)), placeholder=" ...")
    what = f"{report.method}, seed {report.seed}"
    if report.tto is not None:
        what += f", loss {report.tto.loss_first:.3f} -> {report.tto.loss_last:.3f}"
    return f"{prompt}\n{what}; outline: mask of the layout"
