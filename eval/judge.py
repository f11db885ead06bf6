"""Ask a judge about the videos of runs: python -m eval.judge RUN... --judge JUDGE

Answers are kept under --answers, outside the runs, by video, judge, version and question. A question that has an answer
is not asked again, whatever was interrupted, and whichever run shows the same video.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from eval.arguments import parse_shard
from eval.judges import JUDGES
from eval.judges.asking import Tally, ask_all, missing
from eval.judges.cache import AnswerCache
from eval.judges.options import JudgeOptions
from eval.judges.protocol import Judge
from eval.progress import CaseProgress
from eval.runs import load_runs
from ttom.cli.exits import exit_code
from ttom.cli.plugins import import_plugins
from ttom.errors import UserError

OPEN = 1
"""Exit code when questions are still open; a further call asks them again."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask a judge what it has not been asked yet about the videos of runs."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """Run folders, made by eval.replay."""
    judge: Annotated[str, arg(metavar="{" + ",".join(JUDGES) + "}")]
    """emojiworld: the embedded world's own detector. blobs: a check on it that has learned nothing. grounding:
    GroundingDINO with SAM 2. depth: Depth-Anything. tracks: point tracks from files. vlm: a vision language model
    behind an OpenAI-compatible endpoint."""
    plugin: tuple[str, ...] = ()
    """Modules of your own to import first, found on PYTHONPATH: they may register metrics, and judges in
    `eval.judges.JUDGES`."""
    answers: Annotated[Path, arg(metavar="DIR")] = Path("runs/answers")
    """Folder of all judges' answers."""
    shard: Annotated[str | None, arg(metavar="I/N")] = None
    """Ask about part I of N of the videos, counted from 1: one process for each GPU, or a job array."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show no progress."""
    options: Annotated[JudgeOptions, arg(name="")] = field(default_factory=JudgeOptions)

    @property
    def part(self) -> tuple[int, int]:
        """The shard as numbers. Raises SetupError if it is none."""
        return parse_shard(self.shard or "1/1")


def main(argv: Sequence[str] | None = None) -> int:
    """Ask. Returns the exit code: 0 done, 1 questions are open, 2 bad input, 130 interrupted."""
    command = tyro.cli(Ask, prog="python -m eval.judge", args=None if argv is None else list(argv))

    def work() -> int:
        tally = run(command)
        print(f"{told(tally)}\nanswers: {command.answers.absolute()}")
        return OPEN if tally.unanswered else 0

    return exit_code("eval.judge", work, command=Ask)


def run(command: Ask, judge: Judge | None = None) -> Tally:
    """Ask the judge, or the command's if None.

    Raises:
        UserError: A run, the judge or the folder of answers cannot be used.
    """
    import_plugins(command.plugin)
    runs, part, tally = load_runs(command.runs), command.part, Tally()
    judge = judge or make_judge(command.judge, replace(command.options, device=_device(command.options.device)))
    with AnswerCache(command.answers, judge.name, judge.version) as cache:
        jobs = missing(judge, runs, cache, tally, part)
        with CaseProgress("videos", len(jobs), quiet=command.quiet) as progress:
            ask_all(judge, jobs, cache, tally, progress.one_more)
    return tally


def make_judge(name: str, options: JudgeOptions) -> Judge:
    """One of JUDGES. Raises UserError for another name, and for what the judge lacks."""
    if name not in JUDGES:
        raise UserError(f"`judge` is {name!r}", expected=f"one of {', '.join(JUDGES)}")
    module, _, function = JUDGES[name].partition(":")
    judge: Judge = getattr(importlib.import_module(module), function)(options)
    return judge


def told(tally: Tally) -> str:
    """What happened, in a few lines."""
    lines = [f"{tally.answered} questions answered, {tally.kept} were answered already, {tally.unanswered} are open"]
    if tally.cost:
        lines[0] += f", {tally.cost:.2f} US dollars"
    lines += _listed("no answer is possible", tally.refused) + _listed("videos not judged", tally.unread)
    return "\n".join(lines)


def _listed(what: str, reasons: Counter[str]) -> list[str]:
    return [f"{what}: {count} x {reason}" for reason, count in reasons.most_common()]


def _device(name: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
