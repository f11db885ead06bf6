"""Train the detector: python -m experiments.emojiworld.train_detector --out runs/emojiworld/detector --minutes 2

Frames are true renders, some of them blurred, noisy or shifted in color, so that it also reads what a VAE decodes.
It learns from scenes of all splits and of the kinds that models never see: it measures, and must not be blind to them.
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
from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.detector import STRIDE, Detector
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import Split
from ttom.emojiworld.nouns import NOUNS, extents
from ttom.emojiworld.render import Packed, Renderer, centers, pack
from ttom.emojiworld.sampling import paint, sample_composition, sample_scene
from ttom.emojiworld.scene import HEIGHT, WIDTH, Scene

SPLITS: tuple[Split, ...] = ("train", "tune", "test")


def make_scenes(seed: int, count: int) -> Packed:
    """Painted scenes of every kind, a quarter of them crowded."""
    rng = random.Random(seed)
    scenes = [_scene(rng, i) for i in range(count)]
    for scene in scenes:
        paint(rng, scene)
    return pack(scenes)


def _scene(rng: random.Random, number: int) -> Scene:
    if number % 4 == 0:
        return crowded_scene(rng)
    if number % 4 == 1:
        return sample_composition(rng, rng.choice(SPLITS), rng.choice(tuple(NEVER_TRAINED)))
    return sample_scene(rng, rng.choice(SPLITS), edition=SECOND)


class Targets:
    """Center heat maps and sizes of packed scenes at given times."""

    def __init__(self, device: str) -> None:
        self.extents = torch.from_numpy(extents()).to(device)
        y, x = torch.meshgrid(
            torch.arange(HEIGHT // STRIDE, device=device), torch.arange(WIDTH // STRIDE, device=device), indexing="ij"
        )
        self.x, self.y = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE

    def __call__(self, packed: Packed, times: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Packed scenes, times ``(B,)``, labels ``(B, H, W)`` -> heat ``(B, nouns, h, w)``, sizes ``(B, 2, h, w)`` and
        where they count ``(B, 1, h, w)``.
        """
        batch, slots = packed["noun"].shape
        device = labels.device
        heat = torch.zeros(batch, len(NOUNS), *self.x.shape, device=device)
        sizes = torch.zeros(batch, 2, *self.x.shape, device=device)
        counts = torch.zeros(batch, 1, *self.x.shape, device=device)
        rows = torch.arange(batch, device=device)
        places = centers(packed["path"], times[:, None])[:, :, 0]
        seen = (packed["visible"][..., 0] <= times[:, None]) & (times[:, None] <= packed["visible"][..., 1])
        for slot in range(slots):
            center, side = places[:, slot], packed["size"][:, slot]
            noun = packed["noun"][:, slot].clamp(min=0)
            shown = (packed["noun"][:, slot] >= 0) & seen[:, slot] & _inside(center)
            drawn = (shown & ~self._hidden(labels, center, side, noun)).float()[:, None, None]
            distance = (self.x - center[:, 0, None, None]) ** 2 + (self.y - center[:, 1, None, None]) ** 2
            bump = torch.exp(-distance / (2 * 2.5**2)) * drawn
            bump = torch.where(bump >= bump.amax((1, 2), keepdim=True).clamp(min=0.5), torch.ones_like(bump), bump)
            heat[rows, noun] = torch.maximum(heat[rows, noun], bump)
            near = ((distance < 9) & (drawn > 0))[:, None]
            size = (self.extents[noun] * side[:, None] / 32)[:, :, None, None]
            sizes = torch.where(near, size, sizes)
            counts = torch.where(near, 1.0, counts)
        return heat, sizes, counts

    def _hidden(self, labels: Tensor, center: Tensor, side: Tensor, noun: Tensor) -> Tensor:
        """Whether less than half of the thing's middle shows its noun (another lies on top)."""
        x = (self.x[None] - center[:, 0, None, None]).abs() < side[:, None, None] / 4
        y = (self.y[None] - center[:, 1, None, None]).abs() < side[:, None, None] / 4
        shown = labels[:, ::STRIDE, ::STRIDE]
        other = (shown != noun[:, None, None]) & (shown >= 0)
        return (x & y & other).sum((1, 2)) > 0.4 * (x & y).sum((1, 2))


def _inside(center: Tensor) -> Tensor:
    """Whether a center lies in the picture: of what comes over the edge, from the half on."""
    x, y = center.unbind(-1)
    return (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)


def degrade(frames: Tensor) -> Tensor:
    """Blur, noise and color shifts of random strength, as decoders make them."""
    batch = len(frames)
    strength = torch.rand(batch, 1, 1, 1, device=frames.device)
    low = F.interpolate(F.avg_pool2d(frames, 2), scale_factor=2.0, mode="bilinear")
    frames = torch.lerp(frames, low, (strength * 1.6 - 0.6).clamp(0, 1))
    frames = frames + torch.randn_like(frames) * 0.12 * torch.rand_like(strength) ** 2
    return frames + torch.randn(batch, 3, 1, 1, device=frames.device) * 0.04


def loss(
    detector: torch.nn.Module, frames: Tensor, heat: Tensor, sizes: Tensor, where: Tensor, pixels: Tensor
) -> Tensor:
    """Focal loss of the centers (CenterNet), L1 of the sizes, cross-entropy of the pixels."""
    center_logits, size, pixel_logits = detector(frames)
    p = center_logits.float().sigmoid().clamp(1e-5, 1 - 1e-5)
    hit = heat >= 1
    focal = torch.where(hit, (1 - p) ** 2 * p.log(), (1 - heat) ** 4 * p**2 * (1 - p).log())
    center = -focal.sum() / hit.sum().clamp(min=1)
    area = ((size.float() - sizes).abs() * where).sum() / where.sum().clamp(min=1)
    return center + area + F.cross_entropy(pixel_logits.float(), pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--batch", type=int, default=256, help="frames per step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--stop-after", type=float, default=None, help="minutes of this call; a later one resumes")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    detector = Detector().to(device)
    run = Run(options.out, detector, lr=options.lr, minutes=options.minutes, ema=0.0)
    renderer, targets = Renderer(device), Targets(device)
    seed = options.seed + run.step
    pool = ScenePool(make_scenes, options.batch, seed=seed, workers=options.workers)
    begun = run.seconds
    for packed in pool:
        packed = {k: v.to(device, non_blocking=True) for k, v in packed.items()}
        times = torch.rand(options.batch, 1, device=device)
        video, labels = renderer(packed, times)
        pixels = labels[:, 0, ::STRIDE, ::STRIDE].long()
        pixels = torch.where(pixels < 0, len(NOUNS), pixels)
        found = targets(packed, times[:, 0], labels[:, 0])
        with torch.autocast(device, torch.bfloat16):
            value = loss(detector, degrade(video[:, :, 0]), *found, pixels)
        run.update(value)
        run.log(100)
        if run.done or (options.stop_after and run.seconds - begun > options.stop_after * 60):
            break
    pool.close()
    run.save()
    if run.done:
        export(detector, options.out / "detector.safetensors")
    print(f"{options.out}: {run.step} steps of {options.batch} frames in {run.seconds:.0f} s")


def export(detector: Detector, path: Path) -> None:
    """Write the weights in fp16, except for the batch norms' counters."""
    from safetensors.torch import save_file

    save_file({k: v.half() if v.is_floating_point() else v for k, v in detector.state_dict().items()}, path)


if __name__ == "__main__":
    main()
