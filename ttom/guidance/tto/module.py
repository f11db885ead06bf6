"""Test-time optimization of one sample as a LightningModule (section 3.2 of the paper).

An epoch is the optimization before one guided denoising step, a batch one iteration. Dimension letters: see
ttom/types.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from ttom.attention.capture import Prefix
from ttom.guidance.protocol import Step
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.losses import alignment_loss
from ttom.types import ObjectMasks

if TYPE_CHECKING:
    from ttom.prepare import Prepared


class OptimizationModule(LightningModule):
    """Pulls the target blocks' attention maps toward the masks by training the LoRA.

    Only the conditional pass is optimized. AdamW keeps its state over the guided steps. ``losses[i]`` are the losses
    before guided step ``i``, each computed before its update; ``maps_before`` and ``maps_after`` ``(N, F, H, W)`` the
    mean over blocks before the first iteration at the first guided step and after the last one at the last.

    Args:
        prepared: The sample; its masks are reduced by ``tto.downsample``.
        adapter: Attached and enabled.
    """

    def __init__(self, prepared: Prepared, adapter: LoraAdapter) -> None:
        super().__init__()
        # Nothing here is a registered submodule: Lightning would move a transformer to the CPU after every step.
        self.prepared, self.adapter, self.config = prepared, adapter, prepared.settings.tto
        device, masks = prepared.backbone.device, prepared.masks
        assert masks is not None, "test-time optimization needs a layout"
        self.masks = ObjectMasks(masks.masks.to(device), masks.visible.to(device))
        self.step: Step | None = None
        self.losses: list[list[float]] = []
        self.maps_before: Tensor | None = None
        self.maps_after: Tensor | None = None
        self._without_gradient = set(adapter.named_parameters())
        self._prefix = Prefix(adapter.config.first_block)
        self._optimizer: torch.optim.Optimizer | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The same AdamW for every guided step of the sample."""
        if self._optimizer is None:
            config = self.config
            self._optimizer = torch.optim.AdamW(
                self.adapter.parameters(), lr=config.lr, weight_decay=config.weight_decay
            )
        return self._optimizer

    def train_dataloader(self) -> list[int]:
        return list(range(self.config.iterations))

    def on_train_epoch_start(self) -> None:
        self.losses.append([])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """-1 ends the guided step's iterations."""
        stop, losses = self.config.stop_loss, self.losses[-1]
        return -1 if stop is not None and losses and losses[-1] < stop else None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        assert self.step is not None
        maps = self._maps()
        if self.maps_before is None:
            self.maps_before = maps.detach().mean(dim=0)
        loss = alignment_loss(self.config.loss, maps, self.masks, self.config.average)
        if self.trainer.loggers:
            self.log("tto/loss", loss, on_step=True, on_epoch=False)
        self.losses[-1].append(loss.item())
        done = self.step.index * self.config.iterations + batch_idx + 1
        self.step.progress("optimize", done, self.config.guided_steps * self.config.iterations, self.losses[-1][-1])
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
        self._prefix = Prefix(self.adapter.config.first_block)  # the denoising step needs the room

    def _maps(self) -> Float[Tensor, "K N F H W"]:
        """Of the target blocks, at the current guided step."""
        assert self.step is not None
        return self.prepared.object_maps(self.step.latents, self.step.timestep, prefix=self._prefix)
