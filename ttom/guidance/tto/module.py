"""Test-time optimization of one sample as a LightningModule (section 3.2 of the paper).

An epoch is a guided denoising step, a batch one optimiser iteration before it. Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ttom.attention.capture import Prefix
from ttom.config import TTOConfig
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.losses import alignment_loss
from ttom.sampler import Progress, Sampler
from ttom.types import ObjectMasks


class TestTimeOptimization(LightningModule):
    """Pull the target blocks' attention maps towards the masks by training the LoRA, then take the step.

    Only the conditional pass is optimised; the step itself has the LoRA on in both passes of the guidance. After
    the fit ``latents`` are those after the guided steps, ``losses[i]`` the losses before guided step ``i`` (each
    computed before its update), ``maps_before`` and ``maps_after`` ``(N, F, H, W)`` the mean over blocks before
    the first iteration at the first guided step and after the last one at the last.

    Args:
        sampler: Of the run; its first ``guided_steps`` steps are taken here.
        adapter: Attached and enabled.
        latents: Before the first step.
        tokens: Text positions of the N object groups.
        masks: Their masks on the token grid, reduced by config.downsample, on the backbone's device.
        config: Blocks, rate, schedule and loss.
        progress: Told about each iteration.
    """

    __test__ = False  # pytest: not a test class in spite of its name

    def __init__(
        self,
        sampler: Sampler,
        adapter: LoraAdapter,
        latents: Tensor,
        tokens: list[list[int]],
        masks: ObjectMasks,
        config: TTOConfig,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        # Nothing here is a registered submodule: Lightning would move a transformer to the CPU after every sample.
        self.sampler, self.adapter, self.config, self.progress = sampler, adapter, config, progress
        self.latents, self.tokens, self.masks = latents, tokens, masks
        self.losses: list[list[float]] = []
        self.maps_before: Tensor | None = None
        self.maps_after: Tensor | None = None
        self._without_gradient = set(adapter.named_parameters())
        self._prefix = Prefix(adapter.config.first_block)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.adapter.parameters(), lr=self.config.lr, weight_decay=self.config.weight_decay)

    def train_dataloader(self) -> list[int]:
        return list(range(self.config.iterations))

    def on_train_epoch_start(self) -> None:
        self.losses.append([])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """-1 ends the guided step's iterations."""
        stop, losses = self.config.stop_loss, self.losses[-1]
        return -1 if stop is not None and losses and losses[-1] < stop else None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        maps = self._maps()
        if self.maps_before is None:
            self.maps_before = maps.detach().mean(dim=0)
        loss = alignment_loss(self.config.loss, maps, self.masks)
        if self.trainer.loggers:
            self.log("tto/loss", loss, on_step=True, on_epoch=False)
        self.losses[-1].append(loss.item())
        if self.progress is not None:
            done = self.current_epoch * self.config.iterations + batch_idx + 1
            self.progress("optimize", done, self.config.guided_steps * self.config.iterations, self.losses[-1][-1])
        return loss

    def on_after_backward(self) -> None:
        """Check that gradient reached every trained tensor (A has none until the first update has moved B from 0)."""
        if self.global_step > 1 or not self._without_gradient:
            return
        for name, parameter in self.adapter.named_parameters().items():
            if parameter.grad is not None and bool(parameter.grad.any()):
                self._without_gradient.discard(name)
        late = self.global_step == 1
        missing = sorted(name for name in self._without_gradient if late or ".lora_B." in name)
        if missing:
            raise AssertionError(f"no gradient reached {len(missing)} trained tensors, among them {missing[0]}")

    def on_train_epoch_end(self) -> None:
        if self.current_epoch == self.config.guided_steps - 1:
            with torch.no_grad():
                self.maps_after = self._maps().mean(dim=0)
        self._prefix = Prefix(self.adapter.config.first_block)  # the steps need the room
        self.latents = self.sampler.step(self.current_epoch, self.latents)

    def _maps(self) -> Tensor:
        """``(K, N, F, H, W)`` at the current guided step."""
        backbone = self.sampler.backbone
        return backbone.object_maps(
            backbone.reduced(self.latents, self.config.downsample),
            self.sampler.timesteps[self.current_epoch],
            self.sampler.text.positive,
            self.tokens,
            self.config.targets,
            prefix=self._prefix,
        )
