"""What `python -m eval.replay` takes. tyro makes the options from this dataclass and its docstrings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, arg

from ttom.cli.app import default_settings
from ttom.cli.arguments import PlannerOptions, Run
from ttom.errors import SetupError


@dataclass(frozen=True, kw_only=True)
class Replay(Run):
    """Make the videos of a suite, on one device or many, and go on where an earlier call stopped.

    Writes run.json, manifest.jsonl, videos/ in the official toolkits' names, and cases/ with each layout, report and
    attention picture. One set of settings is one run; another set needs another folder.
    """

    suite: str
    """Name of the suite: compbench, vbench, emojiworld or the harder emojiworld-compose (both with -tune to choose
    settings by), prompts (a file of your own), or what EmojiWorld's vocabulary covers: compbench-emojiworld,
    vbench-emojiworld."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder of the run, new or to be continued."""
    data: Annotated[Path | None, arg(metavar="PATH")] = None
    """Data of the suite: a copy of T2V-CompBench's repository (fetched if not set), the folder of VBench_full_info.json
    (by default the package vbench), or a file of prompts for the suite "prompts"."""
    category: tuple[str, ...] = ()
    """Only these categories (for VBench, dimensions) of the suite."""
    limit: int | None = None
    """The first cases of each category only. A later call with a higher limit continues the run."""
    samples: int | None = None
    """Videos of each prompt where the suite has several (VBench: 5; emojiworld-compose: 1, at most 4)."""
    layouts: Literal["suite", "planner"] = "suite"
    """Whose layouts: the suite's true ones where it has them (emojiworld-compose), or the planner's for every case."""
    label: str | None = None
    """Name of the method in tables; by default the method, and "+ memory" with one."""
    devices: int | Literal["all"] | None = None
    """GPUs to use, or CPU processes if there are none: a number, or "all". Several need Ray (the extra cluster). By
    default one, or all of the cluster that RAY_ADDRESS names."""
    per_device: int = 1
    """Workers that share a device. Small models leave much of a GPU idle."""
    shard: Annotated[str | None, arg(metavar="I/N")] = None
    """Make only part I of N, counted from 1, in this process: for job arrays without Ray. All parts share --out."""
    streaming: FlagCreatePairsOff[bool] = False
    """Replay in the suite's order with a memory that learns on the way. Otherwise a memory is only read, and its digest
    is compared before and after. A case that is interrupted and made again never matches what it inserted itself; an
    entry that it had updated keeps that update."""
    window: int | None = None
    """With --streaming: prompts under way at a time, by default the number of workers. A prompt learns from those that
    lie at least so many before it."""
    plugin: tuple[str, ...] = ()
    """Modules of your own to import first, here and in every worker, found on PYTHONPATH: they may register suites,
    methods and losses."""
    pictures: bool = True
    """Draw the attention maps of each case."""

    @property
    def part(self) -> tuple[int, int] | None:
        """The shard as numbers. Raises SetupError if it is none, or does not go together with other options."""
        if self.shard is None:
            return None
        part = parse_shard(self.shard)
        if self.streaming or self.devices is not None or self.per_device != 1:
            raise SetupError(
                "`shard` goes neither with `streaming` nor with `devices` and `per_device`",
                expected="one process for each part, each with one device",
                remedy="leave one of them out",
            )
        return part


def parse_shard(text: str) -> tuple[int, int]:
    """Part and number of parts of "I/N". Raises SetupError for another text."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise SetupError(f"`shard` is {text!r}", expected="I/N with I from 1 to N, such as 1/8")
    return int(match[1]), int(match[2])


def parse(arguments: Sequence[str]) -> Replay:
    """The command; exits with code 2 on wrong usage, 0 after --help."""
    settings = default_settings(list(arguments))
    settings = replace(settings, planner=PlannerOptions.of(settings.planner))
    default = Replay(suite=tyro.MISSING, out=tyro.MISSING, settings=settings)
    command = tyro.cli(Replay, prog="python -m eval.replay", args=list(arguments), default=default)
    planner = command.settings.planner
    if isinstance(planner, PlannerOptions):
        planner = planner.plain()
    return replace(command, settings=replace(command.settings, planner=planner))
