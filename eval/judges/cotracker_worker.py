"""Tracks points with CoTracker: python eval/judges/cotracker_worker.py --cotracker DIR --out TRACKS RUN/videos...

It runs with the Python of CoTracker's own environment, without TTOM, since CoTracker is code to run from a folder and
its weights are pickles. That environment needs av and safetensors besides. It writes TRACKS/SHA256.safetensors for
each video, which `eval.judge --judge tracks --tracks.folder TRACKS` reads. What is there already stays.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

ROWS, COLUMNS = 30, 45
"""The grid of points, the same as eval.judges.tracks.grid."""
SIZE = (856, 480)
"""Width and height at which videos are tracked, those of T2V-CompBench's motion category."""


def frames(path: Path) -> torch.Tensor:
    """All frames of a video, ``(1, T, 3, H, W)`` float from 0 to 255, at SIZE."""
    with av.open(str(path)) as container:
        found = [
            frame.reformat(*SIZE, format="rgb24").to_ndarray(format="rgb24") for frame in container.decode(video=0)
        ]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)[None].float()


def queries() -> torch.Tensor:
    """The grid in the first frame, ``(1, ROWS * COLUMNS, 3)``: frame, x, y in pixels."""
    y, x = torch.meshgrid(
        (torch.arange(ROWS) + 0.5) / ROWS * SIZE[1], (torch.arange(COLUMNS) + 0.5) / COLUMNS * SIZE[0], indexing="ij"
    )
    return torch.stack([torch.zeros_like(x), x, y], dim=-1).reshape(1, -1, 3)


def is_whole(path: Path) -> bool:
    """Whether an earlier call has written the file to its end."""
    try:
        with safe_open(path, "pt") as file:
            return "tracks" in file.keys()  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError):
        return False


@torch.no_grad()
def track(tracker: Any, path: Path, out: Path, device: str) -> None:
    """Write one video's tracks ``(T, N, 2)`` in pixels and where they are visible, ``(T, N)``."""
    tracks, visible = tracker(frames(path).to(device), queries=queries().to(device))
    save_file(
        {
            "tracks": tracks[0].float().cpu().contiguous(),
            "visible": visible[0].reshape(tracks.shape[1:3]).to(torch.uint8).cpu().contiguous(),
            "size": torch.tensor(SIZE),
        },
        out,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cotracker", type=Path, required=True, help="clone of CoTracker's repository; its code runs")
    parser.add_argument("--model", default="cotracker3_offline", help="entry of its hubconf.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tracks")
    parser.add_argument("videos", type=Path, nargs="+", help="folders of videos")
    options = parser.parse_args()
    if not (options.cotracker / "hubconf.py").is_file():
        parser.error(f"{options.cotracker} has no hubconf.py; name a clone of CoTracker's repository")
    paths = [path for folder in options.videos for path in sorted(folder.rglob("*.mp4"))]
    if not paths:
        parser.error("there is no .mp4 file in the folders of videos")
    options.out.mkdir(parents=True, exist_ok=True)
    outs = {path: options.out / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.safetensors" for path in paths}
    todo = [path for path in paths if not is_whole(outs[path])]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tracker = torch.hub.load(str(options.cotracker), options.model, source="local").to(device) if todo else None
    for number, path in enumerate(todo, start=1):
        track(tracker, path, outs[path], device)
        print(f"{number} of {len(todo)}: {outs[path]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
