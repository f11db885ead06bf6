"""Compare runs of a suite: python -m eval.report RUN... --out DIR"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Annotated

import tyro

from eval.manifest import HEADER
from eval.report.compare import compare
from eval.report.media import Media
from eval.report.page import budget_of, write_page
from eval.report.runs import ReportRun, load_runs
from eval.report.schema import Report, report_schema
from eval.report.tables import cases_csv, markdown, scores_csv
from ttom.cli.exits import exit_code
from ttom.errors import UserError
from ttom.files import staged
from ttom.provenance import environment


@dataclass(frozen=True)
class Arguments:
    """Compare runs of one suite: tables as CSV, Markdown and JSON, and one HTML page with the videos side by side."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Run folders, made by eval.replay and scored by eval.score."""

    out: Path
    """Folder for report.html, report.md, report.json, report.schema.json, scores.csv and cases.csv."""

    baseline: str | None = None
    """Label of the run that differences are taken against (default: the first run)."""

    embed: str = "64"
    """Megabytes of videos, pictures and reports to embed in the page, or "all" or "none". Cases beyond that are copied
    to DIR/media, which must then be kept beside the page."""

    wandb: str | None = None
    """Also log each run with its tables and videos to this Weights & Biases project (offline without an API key)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report. Returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    arguments = tyro.cli(Arguments, prog="python -m eval.report", args=None if argv is None else list(argv))
    return exit_code("eval.report", lambda: run(arguments), "no file was left half-written")


def run(arguments: Arguments) -> int:
    """Do what the arguments say. Raises UserError."""
    if (arguments.out / HEADER).exists():
        raise UserError(
            f"{arguments.out} is a run", expected="another folder for the report", remedy=f"{arguments.out / 'report'}"
        )
    runs = load_runs(arguments.runs)
    report = compare(runs, arguments.baseline, environment())
    media = write(report, runs, arguments.out, budget_of(arguments.embed))
    print(_told(report, runs, arguments.out, media))
    if arguments.wandb is not None:
        from eval.report.log_wandb import log_runs

        for place in log_runs(report, runs, arguments.wandb, arguments.out):
            print(f"logged to {place}")
    return 0


def write(report: Report, runs: Sequence[ReportRun], folder: Path, budget: int | None) -> Media:
    """Write all files of the report; readers see the earlier ones until the new ones are whole.

    Args:
        budget: Bytes to embed in the page; None for no limit.

    Raises:
        UserError: The folder cannot be written.
    """
    with staged(folder) as stage:
        media = Media(folder, budget)
        with (stage / "report.html").open("w", encoding="utf-8") as file:
            write_page(file, report, runs, media)
        # The page may have met further problems: files that are not there, videos that changed.
        summaries = zip(report.runs, runs, strict=True)
        told = report.model_copy(
            update={"runs": tuple(summary.with_problems(run.problems) for summary, run in summaries)}
        )
        _write(stage / "report.json", told.model_dump_json(indent=1) + "\n")
        _write(stage / "report.schema.json", json.dumps(report_schema(), indent=1) + "\n")
        _write(stage / "report.md", markdown(told))
        _write(stage / "scores.csv", scores_csv(told))
        _write(stage / "cases.csv", cases_csv(runs))
    return media


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _told(report: Report, runs: Sequence[ReportRun], folder: Path, media: Media) -> str:
    left_out = sum(problem.count for run in runs for problem in run.problems.values())
    counts = ((len(runs), "run"), (report.cases, "case"), (len(report.columns), "metric"))
    lines = [f"{', '.join(starmap(_counted, counts))}: {folder / 'report.html'}"]
    if media.copied_bytes:
        lines.append(f"{media.copied_bytes / 1e6:.1f} MB of files lie in {folder / 'media'}: keep it beside the page")
    if left_out:
        lines.append(f"{_counted(left_out, 'problem')} with what is in the runs; report.md lists them")
    return "\n".join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main())
