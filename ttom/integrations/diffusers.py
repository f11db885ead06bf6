"""An exported LoRA in a stock diffusers pipeline, active in the guided steps only.

TTOM optimizes a LoRA for the first steps of one sample, which decide the layout. A stock loader keeps it on in every
step, and that destroys the picture. `GatedLora` switches it off at the right moment:

>>> pipe.load_lora_weights("balloon-lora", adapter_name="ttom")  # written by TTOM
>>> video = pipe(prompt, callback_on_step_end=GatedLora(pipe, "ttom", guided_steps=5)).frames[0]
"""

from __future__ import annotations

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from ttom.errors import UserError


class GatedLora:
    """A ``callback_on_step_end`` that disables a LoRA after the guided steps and enables it again for the next video.

    Other LoRAs of the pipeline stay as they are. With it the stock pipeline gives the latents of TTOM's own run with
    the same adapter (``memory.use="load"``).

    Args:
        pipe: A diffusers pipeline with the LoRA loaded.
        adapter: The LoRA's name (``adapter_name`` of ``load_lora_weights``).
        guided_steps: In how many steps, from the first, the LoRA acts: those it was optimized in. The exported LoRA's
            README.md has the number.

    Raises:
        UserError: The pipeline has no such LoRA, or guided_steps is below 1.
    """

    def __init__(self, pipe: Any, adapter: str, guided_steps: int) -> None:
        loaded = [module for module in pipe.transformer.modules() if isinstance(module, BaseTunerLayer)]
        layers = [layer for layer in loaded if adapter in layer.scaling]
        if not layers:
            known = sorted({name for layer in loaded for name in layer.scaling})
            raise UserError(
                f"the pipeline has no LoRA {adapter!r}",
                expected=f"one of {', '.join(known)}" if known else "a LoRA that was loaded before",
                remedy=f"pipe.load_lora_weights(folder, adapter_name={adapter!r})",
            )
        if guided_steps < 1:
            raise UserError(f"guided_steps is {guided_steps}", expected="at least 1")
        self.adapter, self.guided_steps, self._layers = adapter, guided_steps, layers
        self.enable()

    def enable(self) -> None:
        """Switch the LoRA on. A run that was interrupted leaves it off."""
        for layer in self._layers:
            others = self._others(layer)
            layer.enable_adapters(True)
            layer.set_adapter([*others, self.adapter])
            layer.requires_grad_(False)

    def disable(self) -> None:
        """Switch the LoRA off; without other LoRAs the outputs are those of the plain model."""
        for layer in self._layers:
            others = self._others(layer)
            layer.set_adapter(others)
            layer.enable_adapters(bool(others))
            layer.requires_grad_(False)

    def _others(self, layer: BaseTunerLayer) -> list[str]:
        """Other LoRAs that are active in the layer."""
        return [] if layer.disable_adapters else [name for name in layer.active_adapters if name != self.adapter]

    def __call__(self, pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline after step ``step``, counted from 0."""
        if step + 1 == self.guided_steps:
            self.disable()
        if step + 1 == pipe.num_timesteps:
            self.enable()
        return tensors
