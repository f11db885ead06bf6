"""The plain model. Nothing acts on it; the objects' maps are read once, for the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ttom.guidance.protocol import Outcome, Part, Step

if TYPE_CHECKING:
    from ttom.prepare import Prepared


class InitialMaps(Part):
    """Reads the objects' attention maps at the first step."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._maps: Tensor | None = None

    def before(self, step: Step) -> Tensor:
        if step.index == 0:
            with torch.no_grad():
                self._maps = self._prepared.object_maps(step.latents, step.timestep).mean(dim=0).cpu()
        return step.latents

    def outcome(self) -> Outcome:
        return Outcome(maps_before=self._maps)
