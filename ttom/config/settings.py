"""All settings of a run together."""

from __future__ import annotations

from dataclasses import dataclass, field

from ttom.config.guidance import AdapterConfig, BiasConfig, LVDConfig, TTOConfig
from ttom.config.memory import MemoryConfig
from ttom.config.planner import PlannerConfig
from ttom.config.sampler import SamplerConfig
from ttom.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Everything a run needs apart from the prompt and the model."""

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    tto: TTOConfig = field(default_factory=TTOConfig)
    bias: BiasConfig = field(default_factory=BiasConfig)
    lvd: LVDConfig = field(default_factory=LVDConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)

    def __post_init__(self) -> None:
        steps = self.sampler.steps
        if self.tto.guided_steps > steps:
            raise UserError(
                f"`tto.guided_steps` is {self.tto.guided_steps}",
                expected=f"at most `sampler.steps` ({steps})",
                remedy=f"`tto.guided_steps={steps}`, or more `sampler.steps`",
            )
        if self.tto.blocks != "auto" and self.adapter.first_block > min(self.tto.blocks):
            raise UserError(
                f"`adapter.first_block` is {self.adapter.first_block}",
                expected=f"at most {min(self.tto.blocks)}, the first of `tto.blocks`: no later LoRA changes its map",
                remedy=f"`adapter.first_block={min(self.tto.blocks)}`",
            )
