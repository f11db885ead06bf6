"""Measurements of the real-size benchmark on the project's own loop: seconds and peak memory of each phase."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from experiments.bench.generate import spread
from experiments.bench.memory import timed
from experiments.bench.real_models import TOKENS
from ttom import TTOM, provenance
from ttom.attention.capture import Prefix
from ttom.backbones import Backbone
from ttom.config import MemoryConfig, RuntimeConfig, Settings
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.guidance.tto.parts import TestTimeOptimization
from ttom.losses import alignment_loss
from ttom.memory.entries import new_record
from ttom.memory.fusion import fuse
from ttom.memory.store import Store
from ttom.prepare import Prepared
from ttom.sampler import Sampler
from ttom.types import ObjectMasks, TextEmbeddings, TokenGrid


class Meter:
    """Seconds and peak bytes of phases, which end with `mark`: what lies between two marks belongs to the second."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.peak: dict[str, int] = defaultdict(int)
        self._last = time.perf_counter()
        self.mark(None)

    def mark(self, phase: str | None) -> None:
        """End a phase here; None ends one that is not recorded."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if phase is not None:
            self.seconds[phase].append(now - self._last)
            self.peak[phase] = max(self.peak[phase], provenance.peak_bytes(self.device) or 0)
        provenance.reset_peak(self.device)
        self._last = time.perf_counter()

    @contextmanager
    def watching(self, owner: Any, name: str, phase: str) -> Iterator[None]:
        """Mark each call of a method as a phase, and what precedes it as "around"."""
        original = getattr(owner, name)

        @wraps(original)
        def call(*inputs: Any, **named: Any) -> Any:
            self.mark("around")
            result = original(*inputs, **named)
            self.mark(phase)
            return result

        with patch.object(owner, name, call):
            yield

    def report(self) -> dict[str, Any]:
        """Spread of the seconds and the peak in GiB of each phase."""
        return {
            "seconds": {phase: spread(values) for phase, values in self.seconds.items()},
            "peak_gib": {phase: round(value / 2**30, 2) for phase, value in self.peak.items()},
        }


def free_memory(device: torch.device) -> None:
    """Release memory that nothing refers to."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def masks_for(grid: TokenGrid, device: torch.device) -> ObjectMasks:
    """One object in each half of the picture, in every frame."""
    masks = torch.zeros(len(TOKENS), grid.frames, grid.height, grid.width, device=device)
    half = grid.width // 2
    masks[0, ..., :half], masks[1, ..., half:] = 1.0, 1.0
    visible = torch.ones(masks.shape[:2], dtype=torch.bool, device=device)
    return ObjectMasks(masks / masks.sum(dim=(-2, -1), keepdim=True), visible)


def measure_steps(backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, settings: Settings, n: int) -> Any:
    """``n`` denoising steps with guidance through the sampler, after two that warm up (a cache fills in the first)."""
    sampler = Sampler(backbone, text, replace(settings.sampler, steps=n + 2))
    meter = Meter(backbone.device)

    def mark(_phase: Any, done: int, _total: int, _loss: Any) -> None:
        meter.mark("warm-up" if done <= 2 else "step")

    sampler.run(latents, progress=mark)
    return meter.report()


def measure_fit(
    backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, masks: ObjectMasks, settings: Settings, n: int
) -> Any:
    """``n`` iterations of the LightningModule's fit after three that warm up, and the guided step after them.

    An iteration lasts from one loss to the next: backward, update, forward. So the first backward is in the second, and
    in the third the first one of a forward that begins at the first LoRA, which compiled blocks compile anew.
    """
    settings = replace(settings, tto=replace(settings.tto, guided_steps=1, iterations=n + 3))
    meter = Meter(backbone.device)

    def mark(_phase: Any, done: int, _total: int, _loss: Any) -> None:
        meter.mark("warm-up" if done <= 3 else "iteration")

    with meter.watching(Sampler, "step", "guided step"):
        prepared = Prepared(backbone, settings, 0, "", None, latents, text, TOKENS, masks)
        sampler = Sampler(backbone, text, settings.sampler)
        outcome = sampler.run(latents, [TestTimeOptimization(prepared)], progress=mark, finish=False).outcome
    assert outcome.adapter is not None
    report = meter.report()
    report["adapter_bytes"] = sum(tensor.nbytes for tensor in outcome.adapter.values())
    report["losses"] = [round(loss, 6) for loss in outcome.losses[0]]
    return report


def measure_bare(
    backbone: Backbone, latents: torch.Tensor, text: TextEmbeddings, masks: ObjectMasks, settings: Settings, n: int
) -> Any:
    """The same iterations in a plain loop: what Lightning adds is the difference."""
    sampler = Sampler(backbone, text, settings.sampler)
    adapter = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0)
    adapter.attach()
    meter, losses, prefix = Meter(backbone.device), [], Prefix(settings.adapter.first_block)
    try:
        optimizer = torch.optim.AdamW(adapter.parameters(), lr=settings.tto.lr, weight_decay=settings.tto.weight_decay)
        latents = backbone.reduced(latents, settings.tto.downsample)
        for i in range(n + 3):
            maps = backbone.object_maps(
                latents, sampler.timesteps[0], text.positive, TOKENS, settings.tto.targets, prefix
            )
            loss = alignment_loss(settings.tto.loss, maps, masks)
            losses.append(round(loss.item(), 6))
            meter.mark("warm-up" if i < 3 else "iteration")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        adapter.detach()
    return meter.report() | {"losses": losses}


def measure_decode(backbone: Backbone, latents: torch.Tensor, n: int) -> Any:
    """``n`` decodings of a video's latents after one that warms up."""
    meter = Meter(backbone.device)
    for i in range(n + 1):
        backbone.decode(latents)
        meter.mark("decode" if i else "warm-up")
    return meter.report()


PROMPTS = (
    "A balloon moves from left to right above a house",
    "A bird moves from left to right above a bus",  # to the memory the same
)


def measure_pipeline(backbone: Backbone, settings: Settings, runtime: RuntimeConfig, folder: Path) -> Any:
    """Short videos of two prompts, from text to pixels, the second from what the memory keeps of the first.

    Two guided steps of two iterations, and one step after them; then the memory's operations on that adapter.
    """
    settings = replace(
        settings,
        sampler=replace(settings.sampler, steps=3),
        tto=replace(settings.tto, guided_steps=2, iterations=2),
        memory=MemoryConfig(path=str(folder), threshold=0.9),
    )
    runner = TTOM(backbone.name, runtime=runtime)
    runner._backbone = backbone  # its random weights are in no folder to load
    meter, results = Meter(backbone.device), []

    def mark(stage: Any, done: int, _total: int, _loss: Any) -> None:
        if stage == "optimize":
            meter.mark("iteration" if done % 2 == 0 else "around")

    watched = ((backbone, "encode_prompt", "encode"), (Sampler, "step", "step"), (backbone, "decode", "decode"))
    with ExitStack() as stack:
        for owner, name, phase in watched:
            stack.enter_context(meter.watching(owner, name, phase))
        for prompt in PROMPTS:
            results.append(runner.generate(prompt, settings=settings, progress=mark))
    first, second = (result.report for result in results)
    assert first.memory is not None and second.memory is not None
    assert not first.memory.hit and second.memory.hit, "the second prompt finds the first one's adapter"
    return meter.report() | {
        "video": list(results[0].video.shape),
        "stages": first.seconds.model_dump(exclude_none=True),
        "memory": measure_memory(folder),
    }


def measure_memory(folder: Path) -> dict[str, Any]:
    """Milliseconds to read, fuse and insert the adapters of a memory."""
    with Store(folder) as store:
        entry = next(iter(store.entries()))
        state = store.state(entry)
        both = [{name: tensor.float() for name, tensor in state.items()}] * 2
        vector = np.full(store.dimension, store.dimension**-0.5, np.float32)
        record = new_record(key="k", prompt="p", embedding=vector, signature=entry.signature)
        changed = [{name: tensor + i for name, tensor in state.items()} for i in range(3)]
        return {
            "bytes": entry.bytes,
            "read_milliseconds": timed(lambda _: store.state(entry), 5),
            "insert_milliseconds": timed(lambda i: store.insert(changed[i], record), 3),
            "average_milliseconds": timed(lambda _: fuse(both, [1.0, 1.0], "average"), 3),
            "svd_milliseconds": timed(lambda _: fuse(both, [1.0, 1.0], "svd"), 3),
        }
