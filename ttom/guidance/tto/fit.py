"""The short fit of one sample, and the rest of its denoising."""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from ttom.backbones.protocol import Backbone
from ttom.config import Settings
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.guidance.tto.module import TestTimeOptimization
from ttom.losses import alignment_loss
from ttom.sampler import Progress, Sampler
from ttom.types import ObjectMasks, TextEmbeddings


@dataclass(frozen=True)
class TTOResult:
    """One optimised sample.

    Attributes:
        latents: After all steps (the guided ones alone if not finished).
        losses: For each guided step the loss of each iteration, before its update.
        maps_before: ``(N, F, H, W)`` mean over target blocks, at the first guided step before any iteration.
        maps_after: The same at the last guided step after its last iteration.
        adapter: The trained tensors by name, on the CPU.
        seconds_optimize: Wall time of the fit, the guided denoising steps included.
        seconds_sample: Wall time of the remaining steps.
    """

    latents: Tensor
    losses: list[list[float]]
    maps_before: Tensor
    maps_after: Tensor
    adapter: dict[str, Tensor]
    seconds_optimize: float
    seconds_sample: float


def run_tto(
    backbone: Backbone,
    latents: Tensor,
    text: TextEmbeddings,
    tokens: list[list[int]],
    masks: ObjectMasks,
    settings: Settings,
    seed: int,
    logger: Logger | None = None,
    progress: Progress | None = None,
    initial_adapter: dict[str, Tensor] | None = None,
    finish: bool = True,
) -> TTOResult:
    """Optimise a LoRA for this sample during the guided steps, denoise to the end, leave the pipeline as it was.

    Args:
        backbone: The model.
        latents: Noise (``Backbone.initial_latents``).
        text: Prompt embeddings.
        tokens: Text positions of each of the N object groups (``Vocabulary.phrase_tokens``).
        masks: Their masks on the token grid, reduced by settings.tto.downsample.
        settings: Sampler, adapter and optimisation.
        seed: Of the LoRA's start values, and of noise that the steps draw: that of the latents.
        logger: Receives ``tto/loss`` of every iteration.
        progress: Told about each iteration and each remaining step.
        initial_adapter: Values that the LoRA starts from instead (``TTOResult.adapter`` of an earlier run).
        finish: Take the steps after the guided ones too; without, ``latents`` are those after the guided steps.

    Raises:
        UserError: For blocks out of range, values of another adapter, or within torch.inference_mode.
        KeyboardInterrupt: On Ctrl-C, with the pipeline restored.
    """
    _check_mode()
    backbone.check_blocks(settings.tto.targets)
    masks = ObjectMasks(masks.masks.to(backbone.device), masks.visible.to(backbone.device))
    sampler = Sampler(backbone, text, settings.sampler, seed)
    adapter = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed)
    start = time.perf_counter()
    adapter.attach()
    try:
        if initial_adapter is not None:
            adapter.load_state_dict(initial_adapter)
        module = TestTimeOptimization(sampler, adapter, latents, tokens, masks, settings.tto, progress)
        _fit(module, backbone.device, logger)
        optimized = time.perf_counter()
        assert module.maps_before is not None and module.maps_after is not None
        adapter.enabled(settings.tto.keep_after)
        start_at, latents = settings.tto.guided_steps, module.latents
        final = sampler.run(latents, start=start_at, progress=progress) if finish else latents
        return TTOResult(
            latents=final,
            losses=module.losses,
            maps_before=module.maps_before.cpu(),
            maps_after=module.maps_after.cpu(),
            adapter=adapter.state_dict(),
            seconds_optimize=optimized - start,
            seconds_sample=time.perf_counter() - optimized,
        )
    finally:
        adapter.detach()


def run_loaded(
    backbone: Backbone,
    latents: Tensor,
    text: TextEmbeddings,
    tokens: list[list[int]],
    masks: ObjectMasks,
    settings: Settings,
    state: dict[str, Tensor],
    seed: int = 0,
    progress: Progress | None = None,
) -> TTOResult:
    """Denoise with an adapter as it is, without optimisation ("Read", section 3.3); arguments as in `run_tto`.

    The adapter acts in the same steps as after an optimisation: the guided ones, or all with ``keep_after``. The one
    loss and ``maps_after`` are those of the first step with the adapter, ``maps_before`` without it.
    """
    backbone.check_blocks(settings.tto.targets)
    sampler = Sampler(backbone, text, settings.sampler, seed)
    adapter = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0)
    start = time.perf_counter()
    adapter.attach()
    try:
        adapter.load_state_dict(state)
        maps, small = [], backbone.reduced(latents, settings.tto.downsample)
        for on in (False, True):
            adapter.enabled(on)
            with torch.no_grad():
                read = backbone.object_maps(small, sampler.timesteps[0], text.positive, tokens, settings.tto.targets)
            maps.append(read)

        def switch(index: int, _timestep: Tensor, _latents: Tensor) -> None:
            if index == settings.tto.guided_steps:
                adapter.enabled(settings.tto.keep_after)

        final = sampler.run(latents, cache_from=settings.tto.guided_steps, before_step=switch, progress=progress)
        return TTOResult(
            latents=final,
            losses=[[alignment_loss(settings.tto.loss, maps[1], masks).item()]],
            maps_before=maps[0].mean(0).cpu(),
            maps_after=maps[1].mean(0).cpu(),
            adapter=adapter.state_dict(),
            seconds_optimize=0.0,
            seconds_sample=time.perf_counter() - start,
        )
    finally:
        adapter.detach()


def _check_mode() -> None:
    if torch.is_inference_mode_enabled():
        raise UserError(
            "torch.inference_mode is on, in which nothing can be optimised",
            expected="any other mode; torch.no_grad does no harm",
            remedy="generate outside of torch.inference_mode",
        )


def _fit(module: TestTimeOptimization, device: torch.device, logger: Logger | None) -> None:
    with _quiet(), _propagated_interrupt():
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            plugins=[LightningEnvironment()],  # one process, whatever SLURM or torchrun say around it
            max_epochs=module.config.guided_steps,
            logger=logger or False,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Lightning says about devices, tips and worker counts, and nothing else; levels are put back."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _propagated_interrupt() -> Iterator[None]:
    """Lightning turns Ctrl-C into SystemExit and ignores it from then on; undo both."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGINT, handler)
