"""Test-time optimization as a part of the denoising loop, and an adapter that is used as it was read from a memory."""

from __future__ import annotations

import logging
import math
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Trainer
from torch import Tensor

from ttom.errors import UserError
from ttom.guidance.gradients import refuse_inference_mode
from ttom.guidance.protocol import Outcome, Part, Step
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.guidance.tto.module import OptimizationModule
from ttom.losses import alignment_loss, find_loss
from ttom.types import Stage

if TYPE_CHECKING:
    from ttom.prepare import Prepared


class _WithLora(Part):
    """A part that has a LoRA in the model while it runs, on in the guided steps."""

    def __init__(self, prepared: Prepared, adapter: dict[str, Tensor] | None) -> None:
        settings = prepared.settings
        prepared.backbone.check_blocks(settings.tto.targets)
        find_loss(settings.tto.loss)
        self.prepared, self.config, self.steps = prepared, settings.tto, settings.tto.guided_steps
        self.lora = LoraAdapter(prepared.backbone, settings.adapter, settings.tto.targets, prepared.seed)
        self._start = adapter

    def __enter__(self) -> Part:
        self.lora.attach()
        try:
            if self._start is not None:
                self.lora.load_state_dict(self._start)
        except BaseException:
            self.lora.detach()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.lora.detach()


class TestTimeOptimization(_WithLora):
    """Trains a LoRA before each guided step; the step itself has it on in both passes of the guidance.

    Args:
        prepared: The sample.
        adapter: Values that the LoRA starts from; if None, B is 0 and A is drawn from the sample's seed.
        logger: A Lightning logger that receives ``tto/loss`` of every iteration.

    Raises:
        UserError: For blocks out of range, an unknown loss, values of another adapter, a loss that is not finite, or
            within torch.inference_mode.
        KeyboardInterrupt: On Ctrl-C.
    """

    __test__ = False  # pytest: not a test class in spite of its name
    stage: Stage = "optimize"

    def __init__(self, prepared: Prepared, adapter: dict[str, Tensor] | None = None, logger: Any = None) -> None:
        super().__init__(prepared, adapter)
        self._logger = logger
        self.module: OptimizationModule | None = None
        self._trainer: Trainer | None = None

    def __enter__(self) -> Part:
        refuse_inference_mode()
        super().__enter__()
        self.module = OptimizationModule(self.prepared, self.lora)
        return self

    def before(self, step: Step) -> Tensor:
        assert self.module is not None, "the part is used outside of its context"
        if step.index < self.steps:
            self.module.step = step
            self._fit_step(step.index)
        elif step.index == self.steps:
            self.lora.enabled(self.config.keep_after)
        return step.latents

    def outcome(self) -> Outcome:
        module = self.module
        assert module is not None and module.maps_before is not None and module.maps_after is not None
        return Outcome(module.losses, module.maps_before.cpu(), module.maps_after.cpu(), self.lora.state_dict())

    def _fit_step(self, index: int) -> None:
        """One epoch more of the same fit."""
        assert self.module is not None
        with _quiet(), _propagated_interrupt():
            if self._trainer is None:
                self._trainer = _trainer(self.prepared.backbone.device, self._logger)
            self._trainer.fit_loop.max_epochs = index + 1
            self._trainer.should_stop = False
            self._trainer.fit(self.module)
        if not all(map(math.isfinite, self.module.losses[-1])):
            raise UserError(
                "the attention loss is not a finite number: the optimization left the range of the number format",
                remedy=f"a smaller `tto.lr` (it is {self.config.lr}), or `dtype=float32`",
            )


class LoadedAdapter(_WithLora):
    """Uses an adapter as it is, without optimization ("Read", section 3.3), in the steps it was optimized in.

    The one loss and ``maps_after`` are those of the first step with the adapter, ``maps_before`` those without it.

    Args:
        prepared: The sample.
        adapter: Trained tensors by name.

    Raises:
        UserError: For blocks out of range, or values of another adapter.
    """

    def __init__(self, prepared: Prepared, adapter: dict[str, Tensor]) -> None:
        super().__init__(prepared, adapter)
        self._maps: list[Tensor] = []

    def before(self, step: Step) -> Tensor:
        if step.index == 0:
            for on in (False, True):
                self.lora.enabled(on)
                with torch.no_grad():
                    self._maps.append(self.prepared.object_maps(step.latents, step.timestep))
        elif step.index == self.steps:
            self.lora.enabled(self.config.keep_after)
        return step.latents

    def outcome(self) -> Outcome:
        before, after = self._maps
        assert self.prepared.masks is not None
        loss = alignment_loss(self.config.loss, after, self.prepared.masks, self.config.average).item()
        return Outcome([[loss]], before.mean(0).cpu(), after.mean(0).cpu(), self.lora.state_dict())


def _trainer(device: torch.device, logger: Any) -> Trainer:
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        plugins=[LightningEnvironment()],  # one process, whatever SLURM or torchrun say around it
        max_epochs=1,
        logger=logger or False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


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
