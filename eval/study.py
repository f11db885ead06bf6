"""Variants of a run made, judged, scored and compared: python -m eval.study --out DIR [--variant ...] -- OPTIONS

A variant is a label with options of eval.replay; the options behind -- are those of all. Every part goes on where an
earlier call stopped. The report is in DIR/report, the runs beside it.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval import replay
from ttom.cli.exits import exit_code
from ttom.errors import UserError


@dataclass(frozen=True)
class Variant:
    """A run of a study.

    Attributes:
        label: Its name in tables.
        options: Of eval.replay, besides those that all variants share.
    """

    label: str
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The label as a folder's name."""
        return re.sub(r"[^A-Za-z0-9.=-]+", "-", self.label).strip("-.") or "run"

    @classmethod
    def parse(cls, text: str) -> Variant:
        """The variant that "LABEL: OPTIONS" describes. Raises UserError."""
        label, colon, options = text.partition(":")
        if not label.strip() or not colon:
            raise UserError(
                f"the variant is {text!r}", expected='"LABEL: OPTIONS", such as "ttom, rank 8: --adapter.rank 8"'
            )
        return cls(label.strip(), tuple(shlex.split(options)))


METHODS = (Variant("base", ("--method", "base")), Variant("ttom", ("--method", "ttom")))


def run_study(
    out: Path, variants: Sequence[Variant], shared: Sequence[str], judges: Sequence[str], plugins: Sequence[str] = ()
) -> int:
    """Make, judge, score and compare the variants; the first one is what the others are compared with.

    Args:
        out: Folder for the runs, the answers and the report.
        variants: The runs.
        shared: Options of eval.replay that all runs share.
        judges: Who judges.
        plugins: Modules that eval.replay, eval.judge and eval.score import first.

    Returns:
        The exit code: 0 done, 1 some videos or answers are missing, 2 bad input, 130 interrupted.

    Raises:
        UserError: Two variants have one name.
    """
    runs = [out / variant.folder for variant in variants]
    doubled = [run.name for run in runs if runs.count(run) > 1]
    if doubled:
        raise UserError(f"two variants are called {doubled[0]!r}", expected="variants with labels of their own")
    codes = []
    for variant, run in zip(variants, runs, strict=True):
        print(f"== {variant.label}", flush=True)
        codes.append(
            replay.main([*shared, *_plugin(plugins), *variant.options, "--label", variant.label, "--out", str(run)])
        )
        if codes[-1] > replay.FAILED:
            return codes[-1]
    return max(*codes, judge_and_compare(out, runs, judges, plugins))


def judge_and_compare(out: Path, runs: Sequence[Path], judges: Sequence[str], plugins: Sequence[str] = ()) -> int:
    """Judge and score finished runs, and write the report. Returns the exit code."""
    from eval import judge, score
    from eval.report import __main__ as report

    folders, answers = [str(run) for run in runs], ["--answers", str(out / "answers"), *_plugin(plugins)]
    steps = [
        *((judge.main, [*folders, "--judge", name, *answers]) for name in judges),
        (score.main, [*folders, *answers, "--quiet"]),
        (report.main, [*folders, "--out", str(out / "report")]),
    ]
    codes = [0]
    for step, options in steps:
        codes.append(step(options))
        if codes[-1] > 1:
            break
    return max(codes)


def _plugin(modules: Sequence[str]) -> list[str]:
    """The modules as options."""
    return ["--plugin", *modules] if modules else []


def split_arguments(argv: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """A program's own arguments, and those behind "--", which all runs share."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (the process's own if None); returns the exit code, see `run_study`."""
    own, shared = split_arguments(argv)
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m eval.study", description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the runs and the report")
    parser.add_argument("--variant", action="append", metavar="TEXT", help='"LABEL: OPTIONS"; by default base and ttom')
    parser.add_argument("--judge", action="append", help="who judges (see eval.judge); by default emojiworld")
    parser.add_argument("--plugin", action="append", metavar="MODULE", help="a module of your own to import first")
    parser.add_argument("--say", metavar="TEXT", help="a line to print first")
    options = parser.parse_args(own)
    if options.say:
        print(options.say, flush=True)

    def work() -> int:
        variants = [Variant.parse(text) for text in options.variant or ()] or METHODS
        return run_study(options.out, variants, shared, options.judge or ["emojiworld"], options.plugin or ())

    return exit_code("eval.study", work)


if __name__ == "__main__":
    sys.exit(main())
