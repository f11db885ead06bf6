"""What `python -m probes.run` takes. tyro makes the options from this dataclass and its docstrings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, arg

from ttom.cli.arguments import Device, Dtype, Preset
from ttom.config import SamplerConfig
from ttom.errors import SetupError
from ttom.presets import DEFAULT_MODEL

PROMPTS = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Probe:
    """Measure which blocks' attention shows where objects end up, and recommend blocks for test-time optimization.

    Generates the plain video of each prompt, reads every block's object maps on the way, segments the video and
    compares (section 3.2, figure 3). Writes probe.json, probe.csv, probe.png and a file per prompt into prompts/; run
    again, it resumes. `--tto.blocks auto` of `ttom generate` reads the result.
    """

    model: str = DEFAULT_MODEL
    """An embedded checkpoint's name, a Hub id, or a diffusers folder."""
    prompts: Annotated[Path | None, arg(metavar="FILE")] = None
    """Prompts in any form that `ttom stream` reads; by default the 200 that come with the probe, EmojiWorld's own for
    emojiworld-*."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for the results; by default runs/probe/ and the model's name."""
    limit: int | None = None
    """Use only this many prompts from the top of the file."""
    masks: Literal["auto", "emojiworld", "grounding", "worker"] = "auto"
    """Segmenter: EmojiWorld's own detector; GroundingDINO + SAM 2 from transformers; or groundingdino-py + sam2 in the
    environment that `make env-grounding` builds. "auto" is the first for emojiworld-*, else the second."""
    detector: str = "IDEA-Research/grounding-dino-base"
    """With --masks grounding: Hub id or folder of GroundingDINO."""
    tracker: str = "facebook/sam2.1-hiera-large"
    """With --masks grounding: Hub id or folder of SAM 2."""
    worker_python: Annotated[Path, arg(metavar="FILE")] = Path(".venv-grounding/bin/python")
    """With --masks worker: the Python interpreter of its environment."""
    worker_options: tuple[str, ...] = ()
    """With --masks worker: arguments for the worker, such as weight paths (see probes/grounding_worker.py)."""
    at_steps: tuple[int, ...] = ()
    """Denoising steps at which maps are read, counted from 0; by default the preset's guided steps, the middle one and
    the last."""
    blocks: tuple[int, ...] = ()
    """Blocks to measure, counted from 0; by default all."""
    seed: int = 0
    """Seed of the noise of prompts that name none; the prompts that come with the probe name theirs."""
    device: Device = "auto"
    """"auto" uses a GPU if there is one."""
    devices: int | Literal["all"] | None = None
    """GPUs to use, or CPU processes if there are none: a number, or "all". Several need Ray (the extra cluster). By
    default one, or all of the cluster that RAY_ADDRESS names."""
    per_device: int = 1
    """Workers that share a device."""
    dtype: Dtype = "auto"
    """Data type of the transformer; "auto" is bfloat16 for large models on a GPU, else float32."""
    preset: Preset = None
    """Named settings; by default the embedded checkpoint's own, else cogvideox or paper by the model's family."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show no progress."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)

    @property
    def is_emojiworld(self) -> bool:
        return Path(self.model).name.startswith("emojiworld")

    @property
    def prompts_file(self) -> Path:
        return self.prompts or PROMPTS / ("emojiworld.jsonl" if self.is_emojiworld else "common.jsonl")

    @property
    def folder(self) -> Path:
        return self.out or Path("runs/probe") / Path(self.model).name

    @property
    def segmenter(self) -> str:
        return self.masks if self.masks != "auto" else "emojiworld" if self.is_emojiworld else "grounding"

    def chosen_steps(self, guided: int) -> tuple[int, ...]:
        """The denoising steps at which maps are read, ascending. Raises SetupError if the run has no such step."""
        steps = self.sampler.steps
        chosen = set(self.at_steps or (*range(min(guided, steps)), steps // 2, steps - 1))
        wrong = sorted(step for step in chosen if not 0 <= step < steps)
        if wrong:
            raise SetupError(
                f"--at-steps names step {wrong[0]}, but the run has {steps} steps", expected=f"steps 0 to {steps - 1}"
            )
        return tuple(sorted(chosen))

    def chosen_blocks(self, available: int) -> tuple[int, ...]:
        """The blocks to measure, ascending. Raises SetupError if the model has no such block."""
        wrong = sorted(block for block in self.blocks if not 0 <= block < available)
        if wrong:
            raise SetupError(
                f"--blocks names block {wrong[0]}, but {self.model!r} has {available} blocks",
                expected=f"indices from 0 to {available - 1}",
            )
        return tuple(sorted(set(self.blocks))) or tuple(range(available))
