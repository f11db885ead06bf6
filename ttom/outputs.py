"""The files of a result. All are made in a temporary folder beside their place and moved when whole.

So an interrupted run leaves the earlier files, or none, and never half a video.
"""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import UserError
from ttom.layout.model import save_layout

if TYPE_CHECKING:
    from ttom.pipeline import Result

FILES = ("video.mp4", "overlay.mp4", "attention.png", "layout.json", "report.json")
VIEWING_HEIGHT = 480
"""Videos much lower than this many pixels are enlarged by a whole factor for viewing."""
_COLUMNS = 3  # latent frames shown per object in the attention picture
_TEMPORARY = ".ttom-"


def check_folder(folder: Path) -> None:
    """Raise UserError if files could not be written to the folder; leaves nothing behind, not even the folder."""
    remedy = "name another folder with --out"
    try:
        folder.absolute().stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # no right to look there, a name too long
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {folder}: {reason}", remedy=remedy) from None
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            break
        if place.exists() or place.is_symlink():
            raise UserError(f"cannot write to {folder}: {place} is not a folder", remedy=remedy)
    try:
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=place):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}", remedy=remedy) from None


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move into ``folder`` when the block ends well, and vanish when it does not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as name:
            yield Path(name)
            for path in sorted(Path(name).iterdir()):
                os.replace(path, folder / path.name)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}", remedy="free space there, or name another folder"
        ) from error


def save(result: Result, folder: str | Path) -> Path:
    """Write video.mp4, overlay.mp4, attention.png, layout.json and report.json; return the folder.

    Without a layout (method base, and nothing to plan from the prompt) only the video and the report are written.
    """
    folder = Path(folder)
    fps = result.settings.sampler.fps
    enlarged = enlarge(result.video)
    with staged(folder) as stage:
        write_video(enlarged, stage / "video.mp4", fps)
        if result.layout is not None:
            # Drawn after enlarging: thin lines and labels that can be read.
            import torch  # late: `ttom plan` shall not wait for it

            from ttom.layout.draw import draw_boxes

            overlay = draw_boxes(torch.from_numpy(enlarged), result.layout).numpy()
            write_video(overlay, stage / "overlay.mp4", fps)
            save_layout(result.layout, stage / "layout.json")
            _draw_attention(result, stage / "attention.png")
        write_report(result.report, stage / "report.json")
        made = {path.name for path in stage.iterdir()}
    for name in FILES:  # of an earlier run into the same folder
        if name not in made:
            (folder / name).unlink(missing_ok=True)
    return folder


def enlarge(video: np.ndarray, height: int = VIEWING_HEIGHT) -> np.ndarray:
    """``(T, H, W, 3)`` enlarged by the whole factor that brings H nearest to ``height``; never made smaller."""
    factor = max(1, round(height / video.shape[1]))
    return video.repeat(factor, axis=1).repeat(factor, axis=2)


def write_video(video: np.ndarray, path: Path, fps: int) -> None:
    """Write uint8 ``(T, H, W, 3)`` as H.264, yuv420p; an odd side grows by one pixel, which that format needs."""
    import imageio_ffmpeg

    height, width = video.shape[1:3]
    video = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (video.shape[2], video.shape[1]),
        fps=fps,
        codec="libx264",
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        quality=None,
        output_params=["-crf", "16", "-movflags", "+faststart"],
        macro_block_size=1,
    )
    writer.send(None)
    try:
        for frame in video:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write the report as strict JSON (no NaN)."""
    path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _draw_attention(result: Result, path: Path) -> None:
    """A row per object: its attention map before and after the optimisation, and its mask, at some latent frames."""
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
    prompt = textwrap.shorten(result.report["prompt"], max(40, round(9 * figure.get_figwidth())), placeholder=" ...")
    caption = f"{prompt}  [{result.report['method']}, seed {result.report['seed']}]"
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
