"""The rows of the real-size benchmark: which lever is pulled, and what is measured with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from experiments.bench.real_models import Model
from ttom.config import Settings

Measure = Literal["step", "fit", "bare"]
Target = int | Literal["quarter", "half"]


@dataclass(frozen=True)
class Case:
    """One row for each model.

    Attributes:
        measure: Denoising steps; iterations of the LightningModule's fit; the same in a bare loop.
        target: Block whose map the loss reads: by index, or so deep in the transformer.
        settings: What differs from the preset, by dotted name; "target-2" is the second block before the target.
        limit_gib: Memory that the allocator may have; all of the GPU's if not set.
        only: Models that have the row; all if empty.
    """

    measure: Measure
    target: Target = 3
    settings: dict[str, Any] = field(default_factory=dict)
    limit_gib: float | None = None
    only: tuple[str, ...] = ()

    def resolved(self, model: Model) -> Settings:
        """The model's preset with the case's target block and settings."""
        blocks = model.config("transformer")["num_layers"]
        depth = {"quarter": blocks // 4, "half": blocks // 2}
        target = self.target if isinstance(self.target, int) else depth[self.target]
        settings = model.settings
        settings = replace(settings, tto=replace(settings.tto, blocks=(target,)))
        for name, value in self.settings.items():
            group, field_name = name.split(".")
            if isinstance(value, str):
                value = target + int(value.removeprefix("target") or 0)
            settings = replace(settings, **{group: replace(getattr(settings, group), **{field_name: value})})
        return settings


CASES = {
    "step": Case("step"),
    "tto-3": Case("fit"),
    "tto-3-bare": Case("bare"),
    "tto-quarter": Case("fit", target="quarter"),
    "tto-half": Case("fit", target="half"),
    "tto-3-cut": Case("fit", settings={"adapter.first_block": "target"}),
    "tto-half-late": Case("fit", target="half", settings={"adapter.first_block": "target-2"}),
    "tto-3-small": Case("fit", settings={"tto.downsample": 2}),
}
