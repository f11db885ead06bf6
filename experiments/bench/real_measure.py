"""What a case of the real-size benchmark measures on the project's own loop: seconds and peak memory of each phase."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import torch

from experiments.bench.generate import spread
from ttom import provenance
from ttom.adapter import LoraAdapter
from ttom.backbones import Backbone
from ttom.config import Settings
from ttom.losses import alignment_loss
from ttom.sampler import Sampler
from ttom.tto.fit import run_tto
from ttom.types import ObjectMasks, TextEmbeddings, TokenGrid

TOKENS = [[3, 4], [9]]
"""Text positions of two objects."""


class Meter:
    """Seconds and peak bytes of phases, told apart by `mark`: what lies between two marks belongs to the second."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.peak: dict[str, int] = defaultdict(int)
        self.mark(None)

    def mark(self, phase: str | None) -> None:
        """End a phase here; None ends one that is not kept."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if phase is not None:
            self.seconds[phase].append(now - self._last)
            self.peak[phase] = max(self.peak[phase], provenance.peak_bytes(self.device) or 0)
        provenance.reset_peak(self.device)
        self._last = time.perf_counter()

    def watch(self, backbone: Any) -> Callable[[], None]:
        """Mark each forward of the transformer in a step as "forward"; call what is returned to stop."""
        original = backbone.denoise

        @wraps(original)
        def denoise(*inputs: Any) -> Any:
            self.mark("around")
            prediction = original(*inputs)
            self.mark("forward")
            return prediction

        backbone.denoise = denoise
        return lambda: delattr(backbone, "denoise")

    def report(self) -> dict[str, Any]:
        """Spread of the seconds and the peak in GiB of each phase."""
        return {
            "seconds": {phase: spread(values) for phase, values in self.seconds.items()},
            "peak_gib": {phase: round(value / 2**30, 2) for phase, value in self.peak.items()},
        }


def masks_for(grid: TokenGrid, device: torch.device) -> ObjectMasks:
    """One object in each half of the picture, in every frame."""
    masks = torch.zeros(len(TOKENS), grid.frames, grid.height, grid.width, device=device)
    half = grid.width // 2
    masks[0, ..., :half], masks[1, ..., half:] = 1.0, 1.0
    visible = torch.ones(masks.shape[:2], dtype=torch.bool, device=device)
    return ObjectMasks(masks / masks.sum(dim=(-2, -1), keepdim=True), visible)


def measure_steps(backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, settings: Settings, n: int) -> Any:
    """``n`` denoising steps with guidance through the sampler, after one that warms up."""
    sampler = Sampler(backbone, text, replace(settings.sampler, steps=n + 1))
    meter = Meter(backbone.device)

    def mark(_phase: Any, done: int, _total: int, _loss: Any) -> None:
        meter.mark("warm-up" if done == 1 else "step")

    sampler.run(latents, progress=mark)
    return meter.report()


def measure_fit(
    backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, masks: ObjectMasks, settings: Settings, n: int
) -> Any:
    """``n`` iterations of the LightningModule's fit after a first one, and the guided step after them.

    An iteration lasts from one loss to the next: backward, update, forward.
    """
    settings = replace(settings, tto=replace(settings.tto, guided_steps=1, iterations=n + 1))
    meter = Meter(backbone.device)
    stop = meter.watch(backbone)

    def mark(_phase: Any, done: int, _total: int, _loss: Any) -> None:
        meter.mark("first" if done == 1 else "iteration")

    try:
        result = run_tto(backbone, latents, text, TOKENS, masks, settings, seed=0, progress=mark, finish=False)
    finally:
        stop()
    report = meter.report()
    report["adapter_bytes"] = sum(tensor.nbytes for tensor in result.adapter.values())
    report["losses"] = [round(loss, 6) for loss in result.losses[0]]
    return report


def measure_bare(
    backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, masks: ObjectMasks, settings: Settings, n: int
) -> Any:
    """The same iterations in a plain loop: what Lightning adds is the difference."""
    sampler = Sampler(backbone, text, settings.sampler)
    adapter = LoraAdapter(backbone, settings.adapter, settings.tto.blocks, seed=0)
    adapter.attach()
    meter, losses = Meter(backbone.device), []
    try:
        optimizer = torch.optim.AdamW(adapter.parameters(), lr=settings.tto.lr, weight_decay=settings.tto.weight_decay)
        latents = backbone.reduced(latents, settings.tto.downsample)
        for i in range(n + 1):
            maps = backbone.object_maps(latents, sampler.timesteps[0], text.positive, TOKENS, settings.tto.blocks)
            loss = alignment_loss(settings.tto.loss, maps, masks)
            losses.append(round(loss.item(), 6))
            meter.mark("first" if i == 0 else "iteration")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        adapter.detach()
    return meter.report() | {"losses": losses}
