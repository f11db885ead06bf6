"""TTOM as a model of lmms-eval, which makes the videos of VBench and VBench-2.0 under its own tasks.

lmms-eval (0.7.3) finds models through entry points, so that nothing there is edited:

    python -m lmms_eval --model ttom --tasks vbench --batch_size 1 \\
        --model_args pretrained=Wan-AI/Wan2.1-T2V-1.3B-Diffusers,method=ttom,output_dir=runs/lmms

Its metric ``generated`` is the share of prompts that have a video. The scores come from VBench's own package, which
reads ``output_dir/vbench``. With ``torchrun --nproc-per-node=N`` each process takes a GPU and its share of the prompts.

This module is imported by lmms-eval alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lmms_eval.api.model import lmms

from ttom import files
from ttom.config import Settings
from ttom.errors import SetupError, UserError
from ttom.pipeline import TTOM
from ttom.report import Report
from ttom.result import sha256

VIDEOS = ("vbench", "vbench2")
"""Suites whose scorers prescribe the names of the videos."""
RUNS = "runs"
"""Folder in output_dir for all that a run writes; the scorers' folders hold their videos and nothing else."""
_VBENCH2_PROMPT = 180
"""VBench-2.0 names a video by so many characters of its prompt."""


def manifest() -> Any:
    """What lmms-eval loads under the name "ttom"."""
    from lmms_eval.models.registry_v2 import ModelManifest  # whose package is what loads this module

    return ModelManifest(model_id="ttom", simple_class_path=f"{__name__}.TTOMVideo")


class TTOMVideo(lmms):
    """Makes a video for each request and answers with its path, or with "ERROR" and the reason.

    A video that is there already, made by the same model with the same settings, is kept; so an interrupted run
    continues. A prompt that cannot be laid out is answered with an error, which lmms-eval counts as not generated.

    Args:
        pretrained: Name of an embedded model, a diffusers folder, or a Hub id.
        output_dir: Where videos and reports go.
        method: As in `TTOM.generate`.
        seed: For requests that bring no seed of their own.
        device: "auto", "cpu" or "cuda".
        dtype, preset: As in `TTOM`.
        batch_size: lmms-eval passes it; videos are made one by one.
        settings: Any field of `Settings` by its dotted name, such as ``sampler.steps=30``, ``memory.path=DIR`` or
            ``tto.blocks=[1,2]``.

    Raises:
        UserError: For an unknown setting, or a value that cannot work.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "emojiworld-wan",
        output_dir: str = "runs/lmms-eval",
        method: str = "ttom",
        seed: int = 0,
        device: str = "auto",
        dtype: str = "auto",
        preset: str | None = None,
        batch_size: int | str = 1,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.output_dir, self.method, self.seed = Path(output_dir), method, int(seed)
        self._rank, self._world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self._ttom = TTOM(str(pretrained), device=device, dtype=dtype, preset=preset)
        settings = {name: value for name, value in settings.items() if name != "max_batch_size"}
        self._settings = with_options(self._ttom.settings, settings)

    @property
    def device(self) -> str:
        """Where lmms-eval puts the tensors by which its processes agree."""
        import torch

        if self._ttom.device == "cpu" or not torch.cuda.is_available():
            return "cpu"
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The paths of the requests' videos. Raises SetupError for what every request would meet."""
        from tqdm import tqdm

        if self.device != "cpu":
            import torch

            torch.cuda.set_device(self.device)
        return [self._answer(request) for request in tqdm(requests, desc="ttom", disable=self._rank != 0)]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Required by lmms-eval. Raises SetupError: a video has no likelihood."""
        raise _wrong_task("asks for likelihoods")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Required by lmms-eval. Raises SetupError: a video has one prompt."""
        raise _wrong_task("has several rounds")

    def clean(self) -> None:
        """Close the memory and free the model; nothing can be made afterwards."""
        self._ttom.close()
        del self._ttom
        super().clean()

    def _answer(self, request: Any) -> str:
        text, _, _, number, task, split = request.args
        row = self.task_dict[task][split][number]
        row = row if isinstance(row, Mapping) else {}
        try:
            return str(self._video(str(text).strip(), str(task), number, row))
        except SetupError:
            raise
        except UserError as error:
            return f"ERROR: {error}"

    def _video(self, prompt: str, task: str, number: Any, row: Mapping[str, Any]) -> Path:
        """The path of a prompt's video, made if it is not there."""
        target = self.output_dir / video_name(prompt, task, number, row)
        run = self.output_dir / RUNS / target.relative_to(self.output_dir).with_suffix("")
        seed = int(row.get("seed", self.seed))
        if target.exists():
            try:
                report = Report.load(run / "report.json")
            except UserError:  # it is not ours: our report is there before the video is
                raise SetupError(f"{target} has no report in {run}", remedy="another `output_dir`") from None
            if report.identity != self._ttom.identity(prompt, self.method, seed, settings=self._settings):
                raise SetupError(f"{target} is of another model or other settings", remedy="another `output_dir`")
            if report.video_sha256 == sha256(target):
                return target
        self._ttom.generate(prompt, method=self.method, seed=seed, settings=self._settings, out=run)
        with files.disk_errors(target), files.staged(target.parent) as stage:
            shutil.copyfile(run / "video.mp4", stage / target.name)
        return target


def _wrong_task(what: str) -> SetupError:
    return SetupError(
        f"the task {what}, but TTOM only makes videos of single prompts",
        expected="a text-to-video task of lmms-eval",
        remedy="a task such as vbench or vbench2",
    )


def video_name(prompt: str, task: str, number: Any, row: Mapping[str, Any]) -> Path:
    """Where a video goes below output_dir: as VBench's scorers look for it, else by task and row.

    Raises:
        UserError: The scorer would need a name that is not a file name.
    """
    suite = row.get("suite")
    if suite not in VIDEOS:
        return Path(task.replace("/", "_")) / f"{number}.mp4"
    text = prompt if suite == "vbench" else prompt[:_VBENCH2_PROMPT]
    parts = [f"{text}-{int(row['sample_index'])}.mp4"]
    dimensions = list(row.get("official_dimensions") or [])
    if suite == "vbench2" and task != "vbench2" and len(dimensions) == 1:
        parts.insert(0, str(dimensions[0]))
    for part in parts:
        if Path(part).name != part or "\0" in part or part.startswith(".") or len(part.encode()) > 255:
            raise UserError(f"{part[:80]!r} is not a file name", expected=f"prompts that {suite} can name videos by")
    return Path(suite, *parts)


def with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Settings with fields changed by their dotted names. Raises UserError."""
    known = {group.name: {each.name for each in fields(getattr(settings, group.name))} for group in fields(settings)}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        group, _, field = name.partition(".")
        if group not in known or field not in known[group]:
            raise UserError(f"there is no setting `{name}`", expected="a name such as `sampler.steps`")
        listed = isinstance(value, str) and re.fullmatch(r"\[[\d, ]*\]", value)
        groups.setdefault(group, {})[field] = tuple(json.loads(value)) if listed else value
    return replace(settings, **{group: replace(getattr(settings, group), **new) for group, new in groups.items()})
