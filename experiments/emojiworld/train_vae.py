"""Train the VAE: python -m experiments.emojiworld.train_vae --out runs/emojiworld/vae --minutes 8
(on several GPUs: torchrun --nproc-per-node N -m ...)

Whole 17-frame clips from the start (five-frame clips alone do not teach the long causal chain), half of them crowded
with independent movers in all colors, and a loss on the change between frames: motion is what a small video VAE loses
first.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.training import Run, ScenePool, join_processes, leave_processes
from ttom.emojiworld.colors import TINTS
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.render import Packed, Renderer, frame_times, pack
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import FRAMES, HEIGHT, SLOTS, WIDTH, Point, Scene, Thing

FOREGROUND_WEIGHT = 5.0
CHANGE_WEIGHT = 1.0
KL_WEIGHT = 3e-4


def crowded_scene(rng: random.Random) -> Scene:
    """Many things, each moving its own way and overlapping at will: more to learn per clip than a captioned scene."""
    things = []
    for noun in rng.sample(range(len(NOUNS)), rng.randint(3, SLOTS)):
        start, far = (_anywhere(rng) for _ in range(2))
        end = (_near(start[0], far[0]), _near(start[1], far[1]))
        path: tuple[Point, ...] = (start,) if rng.random() < 0.25 else (start, end)
        if rng.random() < 0.2:
            path = (*path, _anywhere(rng))
        color = rng.choice(TINTS[noun]) if TINTS[noun] and rng.random() < 0.5 else None
        things.append(Thing(noun, path, rng.uniform(13, 36), color))
    return Scene("crowd", things)


def _anywhere(rng: random.Random) -> Point:
    return rng.uniform(8, WIDTH - 8), rng.uniform(8, HEIGHT - 8)


def _near(start: float, end: float) -> float:
    return start + max(-60.0, min(60.0, end - start))


def make_scenes(seed: int, count: int) -> Packed:
    """Half crowded, half as captions tell them."""
    rng = random.Random(seed)
    scenes = [crowded_scene(rng) if i % 2 else sample_scene(rng, "train", edition=SECOND) for i in range(count)]
    for scene in scenes:
        paint(rng, scene)
    return pack(scenes)


def losses(family: Family, vae: torch.nn.Module, video: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Foreground-weighted L1 of the pixels and of their change from frame to frame, and the KL."""
    mean, log_variance = family.encode(vae, video)
    latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    error = family.decode(vae, latents).float() - video
    change = error[:, :, 1:] - error[:, :, :-1]
    kl = 0.5 * (mean.float() ** 2 + log_variance.float().exp() - 1 - log_variance.float()).mean()
    pixel = (error.abs() * weight).mean()
    return {
        "total": pixel + CHANGE_WEIGHT * (change.abs() * weight[:, :, 1:]).mean() + KL_WEIGHT * kl,
        "l1": error.abs().mean(),
        "foreground_l1": (error.abs() * (weight > 1)).sum() / ((weight > 1).sum() * 3),
        "kl": kl,
    }


def foreground_weight(labels: Tensor) -> Tensor:
    """``(B, 1, T, H, W)``: FOREGROUND_WEIGHT on things and within two pixels of them, 1 elsewhere."""
    mask = F.max_pool2d((labels >= 0).float(), 5, 1, 2)
    return (1 + (FOREGROUND_WEIGHT - 1) * mask)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--batch", type=int, default=32, help="clips per step and process")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--stop-after", type=float, default=None, help="minutes of this call; a later one resumes")
    options = parser.parse_args()
    family = FAMILIES[options.family]
    device = join_processes()
    torch.manual_seed(options.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    vae = family.prepare_vae(family.build_vae()).to(device)
    run = Run(options.out, vae, lr=options.lr, minutes=options.minutes)
    renderer, times = Renderer(device), frame_times(FRAMES).to(device)
    compiled = losses if options.no_compile else torch.compile(losses, dynamic=False)
    seed = options.seed + run.step + run.rank * 1_000_003
    torch.manual_seed(seed)
    pool = ScenePool(make_scenes, options.batch, seed=seed, workers=options.workers)
    begun = run.seconds
    for packed in pool:
        video, labels = renderer({k: v.to(device, non_blocking=True) for k, v in packed.items()}, times)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            parts = compiled(family, vae, video, foreground_weight(labels))
        run.update(parts["total"], **{name: parts[name] for name in ("l1", "foreground_l1", "kl")})
        run.log(50)
        if run.done or (options.stop_after and run.seconds - begun > options.stop_after * 60):
            break
    pool.close()
    run.save()
    leave_processes()
    if run.rank == 0:
        print(f"{options.out}: {run.step} steps of {run.world * options.batch} clips in {run.seconds:.0f} s")


if __name__ == "__main__":
    main()
