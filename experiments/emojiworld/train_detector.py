"""Train the detector: python -m experiments.emojiworld.train_detector --out runs/emojiworld/detector --minutes 2

Frames are true renders, some of them blurred, noisy or shifted in colour, so that it also reads what a VAE decodes.
It learns from scenes of all splits: it measures, and must not be blind to held-out combinations.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.emojiworld.train_vae import crowded_scene
from experiments.emojiworld.training import Run, ScenePool
from ttom.emojiworld.captions import paint
from ttom.emojiworld.detector import STRIDE, Detector
from ttom.emojiworld.nouns import NOUNS, extents
from ttom.emojiworld.world import HEIGHT, WIDTH, Renderer, pack, sample_scene


def make_scenes(seed: int, count: int) -> dict[str, Tensor]:
    rng = random.Random(seed)
    scenes = []
    for i in range(count):
        scenes.append(crowded_scene(rng) if i % 4 == 0 else sample_scene(rng, rng.choice(("train", "tune", "test"))))
        paint(rng, scenes[-1])
    return pack(scenes)


class Targets:
    """Centre heat maps and sizes of packed scenes at given times."""

    def __init__(self, device: str) -> None:
        self.extents = torch.from_numpy(extents()).to(device)
        y, x = torch.meshgrid(
            torch.arange(HEIGHT // STRIDE, device=device), torch.arange(WIDTH // STRIDE, device=device), indexing="ij"
        )
        self.x, self.y = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE

    def __call__(self, things: Tensor, times: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Things ``(B, S, 6)``, times ``(B,)``, labels ``(B, H, W)`` -> heat ``(B, nouns, h, w)``, sizes
        ``(B, 2, h, w)`` and where they count ``(B, 1, h, w)``."""
        batch, slots = things.shape[:2]
        heat = torch.zeros(batch, len(NOUNS), *self.x.shape, device=things.device)
        sizes = torch.zeros(batch, 2, *self.x.shape, device=things.device)
        counts = torch.zeros(batch, 1, *self.x.shape, device=things.device)
        rows = torch.arange(batch, device=things.device)
        for slot in range(slots):
            thing, noun = things[:, slot], things[:, slot, 5].long().clamp(min=0)
            centre = thing[:, :2] + (thing[:, 2:4] - thing[:, :2]) * times[:, None]
            hidden = self._hidden(labels, centre, thing)
            distance = (self.x - centre[:, 0, None, None]) ** 2 + (self.y - centre[:, 1, None, None]) ** 2
            drawn = ((thing[:, 5] >= 0) & ~hidden).float()[:, None, None]
            bump = torch.exp(-distance / (2 * 2.5**2)) * drawn
            bump = torch.where(bump >= bump.amax((1, 2), keepdim=True).clamp(min=0.5), torch.ones_like(bump), bump)
            heat[rows, noun] = torch.maximum(heat[rows, noun], bump)
            near = ((distance < 9) & (drawn > 0))[:, None]
            size = (self.extents[noun] * thing[:, 4:5] / 32)[:, :, None, None]
            sizes = torch.where(near, size, sizes)
            counts = torch.where(near, 1.0, counts)
        return heat, sizes, counts

    def _hidden(self, labels: Tensor, centre: Tensor, thing: Tensor) -> Tensor:
        """Whether less than half of the thing's middle shows its noun (another lies on top)."""
        x = (self.x[None] - centre[:, 0, None, None]).abs() < thing[:, 4, None, None] / 4
        y = (self.y[None] - centre[:, 1, None, None]).abs() < thing[:, 4, None, None] / 4
        shown = labels[:, ::STRIDE, ::STRIDE]
        other = (shown != thing[:, 5, None, None]) & (shown >= 0)
        return (x & y & other).sum((1, 2)) > 0.4 * (x & y).sum((1, 2))


def degrade(frames: Tensor) -> Tensor:
    """Blur, noise and colour shifts of random strength, as decoders make them."""
    batch = len(frames)
    strength = torch.rand(batch, 1, 1, 1, device=frames.device)
    low = F.interpolate(F.avg_pool2d(frames, 2), scale_factor=2.0, mode="bilinear")
    frames = torch.lerp(frames, low, (strength * 1.6 - 0.6).clamp(0, 1))
    frames = frames + torch.randn_like(frames) * 0.12 * torch.rand_like(strength) ** 2
    return frames + torch.randn(batch, 3, 1, 1, device=frames.device) * 0.04


def loss(
    detector: torch.nn.Module, frames: Tensor, heat: Tensor, sizes: Tensor, where: Tensor, pixels: Tensor
) -> Tensor:
    """Focal loss of the centres (CenterNet), L1 of the sizes, cross-entropy of the pixels."""
    centre_logits, size, pixel_logits = detector(frames)
    p = centre_logits.float().sigmoid().clamp(1e-5, 1 - 1e-5)
    hit = heat >= 1
    focal = torch.where(hit, (1 - p) ** 2 * p.log(), (1 - heat) ** 4 * p**2 * (1 - p).log())
    centre = -focal.sum() / hit.sum().clamp(min=1)
    area = ((size.float() - sizes).abs() * where).sum() / where.sum().clamp(min=1)
    return centre + area + F.cross_entropy(pixel_logits.float(), pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--batch", type=int, default=256, help="frames a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    detector = Detector().to(device)
    run = Run(options.out, detector, lr=options.lr, minutes=options.minutes, ema=0.0)
    renderer, targets = Renderer(device), Targets(device)
    pool = ScenePool(make_scenes, options.batch, seed=options.seed + run.step, workers=options.workers)
    for packed in pool:
        packed = {k: v.to(device, non_blocking=True) for k, v in packed.items()}
        times = torch.rand(options.batch, 1, device=device)
        video, labels = renderer(packed, times)
        pixels = labels[:, 0, ::STRIDE, ::STRIDE].long()
        pixels = torch.where(pixels < 0, len(NOUNS), pixels)
        found = targets(packed["things"], times[:, 0], labels[:, 0])
        with torch.autocast(device, torch.bfloat16):
            value = loss(detector, degrade(video[:, :, 0]), *found, pixels)
        run.update(value)
        run.log(100)
        if run.done:
            break
    pool.close()
    run.save()
    export(detector, options.out / "detector.safetensors")
    print(f"{options.out}: {run.step} steps of {options.batch} frames in {run.seconds:.0f} s")


def export(detector: Detector, path: Path) -> None:
    """Write the weights in fp16 (the batch norms' counters apart)."""
    from safetensors.torch import save_file

    save_file({k: v.half() if v.is_floating_point() else v for k, v in detector.state_dict().items()}, path)


if __name__ == "__main__":
    main()
