"""What the probe writes, as typed records: a file per prompt, and probe.json for all of them."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ttom.statistics import Estimate

Status = Literal["measured", "nothing found", "refused"]
Measure = Literal["miou", "ap"]
MEASURES: tuple[Measure, ...] = ("miou", "ap")
STATUSES: tuple[Status, ...] = ("measured", "nothing found", "refused")
"""What can become of a prompt: at least one object found, none found, or no video made."""
Table = tuple[tuple[float, ...], ...]
"""A measure by denoising step and block: ``table[step][block]``, in the order of PromptRow.steps and of the blocks."""


class Record(BaseModel):
    """A frozen record whose unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PhraseRow(Record):
    """One phrase of one prompt.

    Attributes:
        found: Whether the segmenter found it in any latent frame; all that follows is None or empty if not.
        frames: Latent frames with a mask.
        share: Mean share of the token grid that the mask covers in those frames.
    """

    phrase: str
    noun: str
    found: bool
    frames: int | None = None
    share: float | None = None
    miou: Table = ()
    ap: Table = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.found and not (self.frames and self.share is not None and self.miou and self.ap):
            raise ValueError(f"{self.phrase!r} was found, but its measures are missing")
        return self

    def table(self, name: Measure) -> Table:
        """One of its two measures."""
        return self.miou if name == "miou" else self.ap


class PromptRow(Record):
    """What became of one prompt.

    Attributes:
        key: Settings that the row depends on; rows of different keys never share a folder.
        steps: Denoising steps at which maps were read.
        error: Why the prompt was refused; None if it was not.
        timesteps: What the transformer was given at each of the steps.
    """

    key: dict[str, Any]
    prompt: str
    seed: int
    steps: tuple[int, ...]
    status: Status
    error: str | None = None
    timesteps: tuple[float, ...] = ()
    phrases: tuple[PhraseRow, ...] = ()


class Mean(Record):
    """A mean over prompts with its 95% interval."""

    mean: float
    interval: tuple[float, float]
    n: int

    @classmethod
    def of(cls, found: Estimate) -> Self:
        """The estimate, rounded to 4 digits."""
        return cls.model_validate(found.as_json())

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.interval[0]:.3f}, {self.interval[1]:.3f}]"


class BlockRow(Record):
    """A block's measures, mean over the steps that count."""

    block: int
    miou: Mean
    ap: Mean

    def measure(self, name: Measure) -> Mean:
        """One of its two measures."""
        return self.miou if name == "miou" else self.ap


class StepRow(BlockRow):
    """A block's measures at one denoising step."""

    step: int
    timestep: float


class ProbeResult(Record):
    """probe.json: what `--tto.blocks auto` and the tables read.

    Attributes:
        recommended: The block of the highest mIoU over the steps that count.
        tied: Blocks whose paired difference to it has an interval that reaches 0.
        best_by_ap: The block of the highest average precision.
        rule, method: How these are defined, in words.
        prompts, phrases: How many there were, by status.
        chance_ap: Average precision of maps that know nothing: the mean share of the masks.
        steps_counted: Denoising steps that `blocks` averages over.
        masks: The segmenter and its weights.
    """

    version: Literal[1] = 1
    model: str
    num_blocks: int
    recommended: tuple[int, ...]
    tied: tuple[int, ...]
    best_by_ap: int
    rule: str
    method: str
    prompts: dict[Status, int]
    phrases: dict[Literal["found", "not found"], int]
    chance_ap: float
    steps_counted: tuple[int, ...]
    blocks: tuple[BlockRow, ...]
    cells: tuple[StepRow, ...]
    masks: tuple[str, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)
