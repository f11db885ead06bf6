"""Measure the gates of the checkpoint on fresh scenes: python -m experiments.emojiworld.gates --detector D
[--vae FOLDER] [--model FOLDER] [--family cogvideox] --out gates.json

detector: true renders. vae: the same through an encode and decode. base: the stock pipeline on training-like captions.
A stage whose folder is not given is left out of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.emojiworld.families import FAMILIES
from experiments.emojiworld.models import TEXT_TOKENS
from ttom.emojiworld import metrics
from ttom.emojiworld.captions import captioned_scene
from ttom.emojiworld.detector import WEIGHTS, Detection, Detector, detect, load_detector
from ttom.emojiworld.world import FRAMES, HEIGHT, KINDS, WIDTH, Renderer, Scene, frame_times, pack
from ttom.presets import emojiworld

TARGETS = {
    "detector": {"presence": 0.98, "counts": 0.97, "direction": 0.99},
    "vae": {"presence": 0.95, "direction": 0.97},
    "base": {"presence": 0.90, "direction": 0.85, "counts": 0.75},
}


def scene_scores(scene: Scene, frames: list[list[Detection]]) -> dict[str, list[float]]:
    """Scores of one video against the facts of its scene; keys absent where the scene has no such fact."""
    facts, scores = scene.facts, defaultdict(list)
    for noun in {thing.noun for thing in scene.things}:
        scores["presence"].append(float(metrics.presence(frames, noun)))
    movers = [(facts["nouns"][0], facts["direction"])] if "direction" in facts else []
    movers += list(zip(facts["nouns"], facts.get("directions", ()), strict=False))
    for noun, direction in movers:
        scores["direction"].append(float(metrics.direction(frames, noun) == direction))
    if scene.kind == "relation":
        scores["relation"].append(float(metrics.relation_share(frames, *facts["nouns"], facts["relation"]) >= 0.5))
    if "counts" in facts:
        scores["counts"].append(float(metrics.count_exact(frames, facts["counts"])))
    return scores


def detect_videos(detector: Detector, videos: Tensor) -> list[list[list[Detection]]]:
    """Videos ``(B, 3, T, H, W)`` in -1..1 -> detections by video and frame."""
    flat = detect(detector, videos.transpose(1, 2).flatten(0, 1).float())
    count = videos.shape[2]
    return [flat[i : i + count] for i in range(0, len(flat), count)]


def measure(
    make: Callable[[list[Scene], list[str]], Tensor], detector: Detector, *, per_kind: int, seed: int, batch: int = 32
) -> dict:
    """Scores of videos that `make` makes of scenes and captions, each kind of scene alike often."""
    rng = random.Random(seed)
    pairs = [captioned_scene(rng, "train", kind, vague=0.0) for kind in KINDS for _ in range(per_kind)]
    scores: dict[str, list[float]] = defaultdict(list)
    for i in range(0, len(pairs), batch):
        scenes, texts = map(list, zip(*pairs[i : i + batch], strict=True))
        for scene, frames in zip(scenes, detect_videos(detector, make(scenes, texts)), strict=True):
            for key, values in scene_scores(scene, frames).items():
                scores[key] += values
    result = {}
    for key, values in scores.items():
        error = 1.96 * np.std(values) / len(values) ** 0.5
        result[key] = {"mean": round(float(np.mean(values)), 4), "n": len(values), "ci95": round(float(error), 4)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    parser.add_argument("--detector", type=Path, default=WEIGHTS)
    parser.add_argument("--vae", type=Path, default=None, help="folder of the VAE's training, or an exported pipeline")
    parser.add_argument("--model", type=Path, default=None, help="exported checkpoint folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-kind", type=int, default=100, help="scenes of each of the six kinds")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance-scale", type=float, default=emojiworld().sampler.guidance_scale)
    parser.add_argument("--seed", type=int, default=987_654)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made_by = _provenance(options, device)  # before the run: the checkout may change meanwhile
    detector, renderer, times = load_detector(device, options.detector), Renderer(device), frame_times().to(device)

    def true_video(scenes: list[Scene], texts: list[str]) -> Tensor:
        return renderer({k: v.to(device) for k, v in pack(scenes).items()}, times)[0]

    makers: dict[str, Callable[[list[Scene], list[str]], Tensor]] = {"detector": true_video}
    if options.vae:
        makers["vae"] = _round_trip(options, true_video, device)
    if options.model:
        makers["base"] = _base(options, device)
    results = {}
    for stage, make in makers.items():
        measured = measure(make, detector, per_kind=options.per_kind, seed=options.seed)
        for key, target in TARGETS[stage].items():
            measured[key] |= {"target": target, "met": measured[key]["mean"] >= target}
        results[stage] = measured
        print(stage, json.dumps(measured), flush=True)
    options.out.write_text(json.dumps({"gates": results, "provenance": made_by}, indent=1) + "\n")


def _round_trip(
    options: argparse.Namespace, true_video: Callable, device: str
) -> Callable[[list[Scene], list[str]], Tensor]:
    from experiments.emojiworld.train_transformer import load_vae

    vae = load_vae(options.vae, FAMILIES[options.family]).eval().to(device)

    @torch.no_grad()
    def make(scenes: list[Scene], texts: list[str]) -> Tensor:
        return vae.decode(vae.encode(true_video(scenes, texts)).latent_dist.mode()).sample

    return make


def _base(options: argparse.Namespace, device: str) -> Callable[[list[Scene], list[str]], Tensor]:
    pipeline = FAMILIES[options.family].pipeline.from_pretrained(options.model, dtype=torch.float32).to(device)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(options.seed)

    def make(scenes: list[Scene], texts: list[str]) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            video = pipeline(
                texts,
                height=HEIGHT,
                width=WIDTH,
                num_frames=FRAMES,
                num_inference_steps=options.steps,
                guidance_scale=options.guidance_scale,
                max_sequence_length=TEXT_TOKENS,
                generator=generator,
                output_type="pt",
            ).frames
        return video.transpose(1, 2).float() * 2 - 1

    return make


def _provenance(options: argparse.Namespace, device: str) -> dict:
    from ttom.provenance import digest, environment

    arguments = {key: os.path.relpath(v) if isinstance(v, Path) else str(v) for key, v in vars(options).items()}
    measured = {"checkpoint_sha256": digest(options.model)} if options.model else {}
    return {**environment(device), **measured, "arguments": arguments}


if __name__ == "__main__":
    main()
