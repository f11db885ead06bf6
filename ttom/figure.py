"""attention.png: where the model looks for each object, beside where the layout wants it."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ttom.result import Result

_COLUMNS = 3  # latent frames shown per object in the attention picture


def draw_attention(result: Result, path: Path) -> None:
    """A row per object: its attention map before and after the optimization, and its mask, at some latent frames."""
    from matplotlib.figure import Figure

    assert result.layout is not None and result.masks is not None and result.maps_before is not None
    panels = {"attention before": result.maps_before, "attention after": result.maps_after, "mask": result.masks.masks}
    if result.maps_after is None:
        panels = {"attention": result.maps_before, "mask": result.masks.masks}
    arrays = {title: maps.float().cpu().numpy() for title, maps in panels.items() if maps is not None}
    objects, frames, rows, columns = arrays["mask"].shape
    shown = sorted({round(k) for k in np.linspace(0, frames - 1, min(_COLUMNS, frames))})
    width = 1.3 * columns / rows * len(shown) * len(arrays)
    figure = Figure(figsize=(max(width, 6.0) + 0.6, 1.45 * objects + 0.9), layout="constrained")
    prompt = textwrap.shorten(result.report.prompt, max(40, round(9 * figure.get_figwidth())), placeholder=" ...")
    caption = f"{prompt}  [{result.report.method}, seed {result.report.seed}]"
    figure.suptitle(caption, fontsize=10, parse_math=False)
    # Before and after share a scale an object, so that a sharper map also looks brighter.
    attention = np.stack([maps for title, maps in arrays.items() if title != "mask"])
    names = [group.phrase for group in result.layout.groups()]
    parts: Any = figure.subfigures(1, len(arrays))
    for part, (title, maps) in zip(parts, arrays.items(), strict=True):
        part.suptitle(title, fontsize=9)
        tops = (maps if title == "mask" else attention.max(axis=0)).reshape(objects, -1).max(axis=1)
        grid = part.subplots(objects, len(shown), squeeze=False)
        for (row, column), axes in np.ndenumerate(grid):
            axes.imshow(maps[row, shown[column]], cmap="magma", vmin=0.0, vmax=tops[row] or 1.0)
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(f"latent frame {shown[column]}", fontsize=7)
            if column == 0:
                axes.set_ylabel(names[row], fontsize=8, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the font lacks Chinese: boxes stand for it
        figure.savefig(path, dpi=110)
