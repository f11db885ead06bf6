"""The rows of the real-size benchmark: which setting is changed, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from experiments.bench.real_models import Model
from ttom.config import Settings

Measure = Literal["step", "fit", "bare", "decode", "pipeline"]
Target = int | Literal["quarter", "half"]


@dataclass(frozen=True)
class Case:
    """One row per model.

    Attributes:
        measure: Denoising steps; iterations of the LightningModule's fit; the same in a plain loop; decoding a whole
            video; or short videos from prompt to pixels, with text encoder, VAE and a memory store.
        target: Block whose map the loss reads, by index or by depth.
        settings: Changes to the preset, by dotted name; "target-2" is the second block before the target.
        runtime: Changes to the defaults of RuntimeConfig.
        limit_gib: Limit of the allocator; the whole GPU if None.
        only: Models that have this row; all if empty.
    """

    measure: Measure
    target: Target = 3
    settings: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
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


WAN = ("wan-14b", "wan-1.3b")
LARGE, SMALL = ("wan-14b", "cogvideox-5b"), ("wan-1.3b", "cogvideox-2b")
SAVING = {"checkpointing": True, "resident_blocks": 4}
WHOLE = {"offload": True, "vae_tiling": True}

CASES = {
    # The plain run, and the overhead of Lightning.
    "step": Case("step"),
    "tto-3": Case("fit"),
    "tto-3-bare": Case("bare"),
    # Deeper targets, and gradient checkpointing.
    "tto-3-checkpointing": Case("fit", runtime={"checkpointing": True}),
    "tto-quarter": Case("fit", target="quarter"),
    "tto-quarter-checkpointing": Case("fit", target="quarter", runtime={"checkpointing": True}),
    "tto-half": Case("fit", target="half"),
    "tto-half-checkpointing": Case("fit", target="half", runtime={"checkpointing": True}),
    # Cheaper forms of the optimization.
    "tto-3-cut": Case("fit", settings={"adapter.first_block": "target"}),
    "tto-half-late": Case("fit", target="half", settings={"adapter.first_block": "target-2"}),
    "tto-3-small": Case("fit", settings={"tto.downsample": 2}),
    "tto-half-small": Case("fit", target="half", settings={"tto.downsample": 2}),
    # A limited allocator. These rows include the guided step.
    "tto-3-24gib": Case("fit", runtime=SAVING, limit_gib=24, only=("wan-14b",)),
    "tto-3-12gib": Case("fit", runtime=SAVING, limit_gib=12, only=("cogvideox-5b",)),
    "tto-3-8gib": Case("fit", runtime={"checkpointing": True}, limit_gib=8, only=("wan-1.3b", "cogvideox-2b")),
    # Other ways to run a step.
    "step-streamed": Case("step", runtime={"resident_blocks": 4}, only=LARGE),
    "step-batched": Case("step", settings={"sampler.batched_guidance": True}, only=WAN),
    "step-cudnn": Case("step", runtime={"attention": "_native_cudnn"}, only=WAN),
    "step-flash": Case("step", runtime={"attention": "_native_flash"}, only=WAN),
    "step-fp8": Case("step", runtime={"fp8": True}),
    "tto-3-fp8": Case("fit", runtime={"fp8": True}),
    # The fastest step with a cache: all blocks but the first are skipped.
    "step-cached": Case("step", settings={"sampler.cache_threshold": 1e12}),
    # Decoding alone. The models of a family share a VAE.
    "decode": Case("decode", only=SMALL),
    "decode-tiled": Case("decode", runtime={"vae_tiling": True}, only=SMALL),
    # Whole pipelines.
    "pipeline-24gib": Case("pipeline", runtime=WHOLE | SAVING, limit_gib=24, only=("wan-14b",)),
    "pipeline-12gib": Case("pipeline", runtime=WHOLE | SAVING, limit_gib=12, only=("cogvideox-5b",)),
    "pipeline-8gib": Case("pipeline", runtime=WHOLE | SAVING, limit_gib=8, only=(*SMALL, "cogvideox-5b")),
    # Compiled. The first calls take minutes.
    "step-compiled": Case("step", runtime={"compile": True}),
    "tto-3-compiled": Case("fit", runtime={"compile": True}),
}
