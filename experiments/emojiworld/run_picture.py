"""A grid of the first cases of two runs, base beside ttom, with the planned boxes: three frames of each video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eval.judges.video import read_video
from eval.manifest import CASES, VIDEOS, read_header, read_rows
from ttom.emojiworld.picture import draw
from ttom.layout.model import load_layout

PER_CATEGORY = 3
"""The first cases, not chosen by how they look."""


def draw_runs(base: Path, ttom: Path, path: Path) -> None:
    """Write the PNG."""
    draw([row for name, run in (("base", base), ("ttom", ttom)) for row in _rows(name, run)], path)


def _rows(name: str, run: Path) -> Iterator[dict[str, Any]]:
    """What `draw` takes, for the first cases of each category that have a video and a layout."""
    own_height, taken = read_header(run).settings["sampler"]["height"], Counter[str]()
    for row in sorted(read_rows(run), key=lambda row: row.case.id):
        taken[row.case.category] += 1
        layout = run / CASES / row.case.id / "layout.json"
        if row.status != "made" or taken[row.case.category] > PER_CATEGORY or not layout.is_file():
            continue
        video = read_video(run / VIDEOS / row.case.video)
        frames = video[[0, len(video) // 2, len(video) - 1]]
        factor = max(1, frames.shape[1] // own_height)  # files hold enlarged pixels
        frames = frames[:, factor // 2 :: factor, factor // 2 :: factor]
        shown = {"frames": frames.tolist(), "layout": load_layout(layout).model_dump(mode="json")}
        yield {"id": row.case.id, "variant": name, "prompt": row.case.prompt, **shown}
