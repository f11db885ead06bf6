"""Evaluates one dimension with the package vbench. It runs in that package's environment, without TTOM."""

from __future__ import annotations

import argparse
import glob
import os
import subprocess
import sys

sys.path.pop(0)  # the folder of this file holds a vbench.py of ours
FILTER = "from vbench.cli.vbench import main; main()"


def filtered(videos: str, out: str) -> str:
    """The folder of static videos that the package's own filter chooses, prompt by prompt."""
    place = os.path.join(out, "filter")
    command = [sys.executable, "-c", FILTER, "static_filter", "--videos_path", videos, "--result_path", place]
    subprocess.run(command, check=True)
    chosen = os.path.join(place, "filtered_videos")
    if not glob.glob(os.path.join(chosen, "*.mp4")):
        sys.exit("the static filter leaves no video")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only import the package")
    parser.add_argument("--dimension")
    parser.add_argument("--videos", help="folder of {prompt}-{i}.mp4")
    parser.add_argument("--info", help="list of prompts in the form of VBench_full_info.json")
    parser.add_argument("--out", help="folder for the package's files")
    parser.add_argument("--name")
    options = parser.parse_args()
    from vbench import VBench  # type: ignore[import-not-found, unused-ignore]

    if options.check:
        return
    import torch

    os.makedirs(options.out, exist_ok=True)
    videos = options.videos
    if options.dimension == "temporal_flickering":
        videos = filtered(videos, options.out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = VBench(device, options.info, options.out)
    bench.evaluate(videos_path=videos, name=options.name, dimension_list=[options.dimension])


if __name__ == "__main__":
    main()
