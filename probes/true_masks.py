"""EmojiWorld's segmenter against ground-truth masks: python -m probes.true_masks --out RESULT.json

Scenes of the training split are rendered; for each noun in a scene, the IoU over the whole clip between the segmenter's
mask and the renderer's labels is measured, in pixels and on the token grid of the embedded checkpoints. Generated
videos have no ground truth.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probes.masks import EmojiWorldSegmenter
from probes.measures import to_grid
from ttom.emojiworld.editions import CURRENT
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import Scene
from ttom.layout.model import ObjectGroup
from ttom.provenance import environment
from ttom.statistics import estimate
from ttom.types import TokenGrid

GRID, FACTOR = TokenGrid(5, 8, 12), 4
"""Token grid of emojiworld-wan and emojiworld-cogvideox, and picture frames per latent frame after the first."""


def scenes(per_kind: int, seed: int) -> list[Scene]:
    """Painted scenes, equally many of each kind."""
    made = []
    for number in range(per_kind):
        for kind in CURRENT.kinds:
            rng = random.Random(f"true masks {seed} {kind} {number}")
            made.append(sample_scene(rng, "train", kind))
            paint(rng, made[-1])
    return made


def agreement(scene: Scene, segmenter: EmojiWorldSegmenter) -> dict[str, list[float]]:
    """IoU of each noun's mask: {"pixels": one per noun, "tokens": the same for nouns that fill a cell}."""
    frames, labels = Renderer()(pack([scene]), frame_times())
    video = ((frames[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    nouns = sorted({thing.noun for thing in scene.things})
    groups = [ObjectGroup(NOUNS[noun].name, NOUNS[noun].name, ()) for noun in nouns]
    found = segmenter.segment(video, groups)
    true = np.stack([labels[0].numpy() == noun for noun in nouns])
    result: dict[str, list[float]] = {"pixels": [], "tokens": []}
    for name, a, b in (("pixels", found, true), ("tokens", to_grid(found, GRID, FACTOR), to_grid(true, GRID, FACTOR))):
        for ours, theirs in zip(a, b, strict=True):
            if theirs.any():
                result[name].append(float((ours & theirs).sum() / (ours | theirs).sum()))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-kind", type=int, default=20, help="scenes of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made_by = environment("cpu")
    segmenter = EmojiWorldSegmenter()
    found = [agreement(scene, segmenter) for scene in scenes(options.per_kind, options.seed)]
    result: dict[str, Any] = {"scenes": len(found)}
    for name in ("pixels", "tokens"):
        by_scene = [float(np.mean(one[name])) for one in found if one[name]]
        values = [value for one in found for value in one[name]]
        result[name] = {**estimate(by_scene).as_json(), "nouns": len(values), "lowest": round(min(values), 4)}
    result["provenance"] = {**made_by, "command": " ".join(["python -m probes.true_masks", *sys.argv[1:]])}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print({name: result[name] for name in ("pixels", "tokens")})


if __name__ == "__main__":
    main()
