"""Measure the gates of a checkpoint on fresh scenes: python -m experiments.emojiworld.gates --out gates.json
[--detector FILE] [--vae FOLDER] [--model FOLDER] [--family cogvideox] [--edition 1]

detector: true renders. vae: the same through an encode and decode. base: the stock pipeline on training-like captions.
A stage whose folder is not given is left out of the result. Every share has its n and its 95% interval: a bootstrap
over scenes, since verdicts on one video go together, or Wilson's where all or none hold. Blobs and hues, a judge that
has learned nothing, look at a part of the same videos (see ttom/emojiworld/blobs.py).
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.emojiworld.families import FAMILIES
from experiments.emojiworld.models import TEXT_TOKENS
from ttom.emojiworld import blobs
from ttom.emojiworld.captions import captioned_scene
from ttom.emojiworld.detector import WEIGHTS, Detection, Detector, detect, load_detector
from ttom.emojiworld.editions import EDITIONS, SECOND, Edition
from ttom.emojiworld.facts import Facts
from ttom.emojiworld.judging import all_hold, judge
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH, Scene
from ttom.presets import emojiworld
from ttom.statistics import estimate

TARGETS = {
    "detector": {"presence": 0.99, "direction": 0.99, "count": 0.99, "color": 0.97},
    "vae": {"presence": 0.98, "direction": 0.98, "color": 0.95},
    "base": {
        "presence": 0.97,
        "direction": 0.95,
        "group_direction": 0.85,
        "count_to_6": 0.80,
        "three_present": 0.90,
        "relation": 0.95,
        "color": 0.90,
    },
}
"""Of edition 2; edition 1 is measured and not judged."""
Make = Callable[[list[Scene], list[str]], Tensor]


def scene_scores(scene: Scene, frames: list[list[Detection]]) -> Iterator[tuple[str, bool]]:
    """(measure, holds) of one video against the facts of its scene; a scene has only some of the measures."""
    verdicts = judge(scene.facts, frames)
    for verdict in verdicts:
        subject = scene.facts.subjects[verdict.subject]
        if verdict.name == "direction" and subject.count > 1:
            yield "group_direction", verdict.holds
        elif verdict.name != "count":
            yield verdict.name, verdict.holds
    counts = [verdict.holds for verdict in verdicts if verdict.name == "count"]
    if counts and not any(subject.path for subject in scene.facts.subjects):
        yield "count", all(counts)
        if most(scene.facts) <= 6:
            yield "count_to_6", all(counts)
    if scene.kind == "three":
        yield "three_present", all(verdict.holds for verdict in verdicts if verdict.name == "presence")
    yield "all_facts", all_hold(verdicts)


def most(facts: Facts) -> int:
    """The largest number of one noun."""
    return max(subject.count for subject in facts.subjects)


def detect_videos(detector: Detector, videos: Tensor) -> list[list[list[Detection]]]:
    """Videos ``(B, 3, T, H, W)`` in -1..1 -> detections with colors, by video and frame."""
    flat = detect(detector, videos.transpose(1, 2).flatten(0, 1).float(), colors=True)
    count = videos.shape[2]
    return [flat[i : i + count] for i in range(0, len(flat), count)]


def measure(
    make: Make, detector: Detector, edition: Edition, *, per_kind: int, seed: int, batch: int = 32
) -> dict[str, Any]:
    """Shares of facts that hold in videos that `make` makes of scenes and captions, equally many of each kind."""
    rng = random.Random(seed)
    kinds = [kind for kind in edition.kinds for _ in range(per_kind)]
    pairs = [captioned_scene(rng, "train", kind, vague=0.0, edition=edition) for kind in kinds]
    held: dict[str, list[tuple[bool, int]]] = defaultdict(list)  # with the number of the scene
    for i in range(0, len(pairs), batch):
        scenes, texts = map(list, zip(*pairs[i : i + batch], strict=True))
        videos = make(scenes, texts)
        for number, (scene, frames) in enumerate(zip(scenes, detect_videos(detector, videos), strict=True), start=i):
            for name, holds in scene_scores(scene, frames):
                held[name].append((holds, number))
                held[f"{name}/{scene.kind}"].append((holds, number))
        for number, (scene, video) in list(enumerate(zip(scenes, videos, strict=True), start=i))[::4]:
            for name, holds in blobs.verdicts(scene.facts, video):
                held[f"blobs_{name}"].append((holds, number))
    return {name: summary(verdicts) for name, verdicts in sorted(held.items())}


def summary(verdicts: Sequence[tuple[bool, int]]) -> dict[str, Any]:
    """The share of verdicts that hold, each with the number of its scene: verdicts on one video go together."""
    return estimate([holds for holds, _ in verdicts], [scene for _, scene in verdicts]).as_json()


def with_targets(stage: str, measured: dict[str, Any], edition: Edition) -> dict[str, Any]:
    """The measures that have a target, with it and whether it is met, then the others."""
    targets = TARGETS[stage] if edition.number == SECOND.number else {}
    judged = {
        name: {**measured[name], "target": target, "met": measured[name]["mean"] >= target}
        for name, target in targets.items()
        if name in measured
    }
    return judged | {name: cell for name, cell in measured.items() if name not in judged}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    parser.add_argument("--detector", type=Path, default=WEIGHTS)
    parser.add_argument("--vae", type=Path, default=None, help="folder of the VAE's training, or an exported pipeline")
    parser.add_argument("--model", type=Path, default=None, help="exported checkpoint folder")
    parser.add_argument("--edition", type=int, default=SECOND.number, choices=EDITIONS, help="of the world")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-kind", type=int, default=100, help="scenes of each kind")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance-scale", type=float, default=emojiworld().sampler.guidance_scale)
    parser.add_argument("--seed", type=int, default=987_654)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made_by = _provenance(options, device)  # before the run: the checkout may change meanwhile
    detector, renderer, times = load_detector(device, options.detector), Renderer(device), frame_times().to(device)
    edition = EDITIONS[options.edition]

    def true_video(scenes: list[Scene], texts: list[str]) -> Tensor:
        return renderer({k: v.to(device) for k, v in pack(scenes).items()}, times)[0]

    makers: dict[str, Make] = {"detector": true_video}
    if options.vae:
        makers["vae"] = _round_trip(options, true_video, device)
    if options.model:
        makers["base"] = _base(options, device)
    results = {}
    for stage, make in makers.items():
        measured = measure(make, detector, edition, per_kind=options.per_kind, seed=options.seed)
        results[stage] = with_targets(stage, measured, edition)
        print(stage, json.dumps({name: cell for name, cell in results[stage].items() if "/" not in name}), flush=True)
    result = {"edition": edition.number, "gates": results, "provenance": made_by}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def _round_trip(options: argparse.Namespace, true_video: Make, device: str) -> Make:
    from experiments.emojiworld.train_transformer import load_vae

    vae: Any = load_vae(options.vae, FAMILIES[options.family]).eval().to(device)

    @torch.no_grad()
    def make(scenes: list[Scene], texts: list[str]) -> Tensor:
        return vae.decode(vae.encode(true_video(scenes, texts)).latent_dist.mode()).sample

    return make


def _base(options: argparse.Namespace, device: str) -> Make:
    kind = FAMILIES[options.family].pipeline
    pipeline = kind.from_pretrained(options.model, dtype=torch.float32, trust_remote_code=False).to(device)
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


def _provenance(options: argparse.Namespace, device: str) -> dict[str, Any]:
    from ttom.provenance import digest, environment

    arguments = {key: os.path.relpath(v) if isinstance(v, Path) else str(v) for key, v in vars(options).items()}
    measured = {"checkpoint_sha256": digest(options.model)} if options.model else {}
    return {**environment(device), **measured, "arguments": arguments}


if __name__ == "__main__":
    main()
