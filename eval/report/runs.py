"""Run folders as the report reads them.

Records come from outside, so nothing in them is trusted: lines that cannot be read, rows that contradict each other and
files that lie outside the run are counted as problems and left out; a folder that is no run, or a run of another suite,
is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from eval.manifest import MANIFEST, read_header
from eval.runs import SCORES, belongs, check_has_manifest
from eval.types import ManifestRow, RunHeader, ScoreRow
from ttom.errors import UserError
from ttom.layout.model import Layout, load_layout

LINE_LIMIT = 4 << 20
"""Longest line of a manifest or a score file, and largest layout file, that is read, in bytes."""
Row = TypeVar("Row", bound=BaseModel)


class Column(NamedTuple):
    """A metric by one kind of judge: official and proxy scores are different columns."""

    metric: str
    proxy: bool


@dataclass
class Problem:
    """Something of a run that was left out of the report, how often, and the first place where it was met."""

    what: str
    count: int
    example: str


@dataclass
class ReportRun:
    """One run: what it shares, what it made, and how that scored.

    Attributes:
        label: Name in tables; unique among the runs of a report.
        rows: The last manifest row of each case, by case id.
        scores: For each column, the score row of each case that has one, by case id.
    """

    folder: Path
    label: str
    header: RunHeader
    rows: dict[str, ManifestRow]
    scores: dict[Column, dict[str, ScoreRow]]
    problems: dict[str, Problem] = field(default_factory=dict)

    def note(self, what: str, example: str, count: int = 1) -> None:
        """Count a problem; the first example is kept."""
        self.problems.setdefault(what, Problem(what, 0, example)).count += count

    def file(self, name: str) -> Path | None:
        """The path of a file of this run; None if there is none, or if the name leads out of the run's folder."""
        try:
            path = (self.folder / name).resolve()
            inside = path.is_relative_to(self.folder.resolve()) and path.is_file()
        except (OSError, ValueError):  # a name too long, a zero byte
            return None
        return path if inside else None

    def video(self, row: ManifestRow) -> Path | None:
        """The video of a made case, named relative to the run or to its videos folder; None if it is not there."""
        if row.status != "made" or not row.video:
            return None
        return self.file(row.video) or self.file(f"videos/{row.video}")

    def case_file(self, case_id: str, name: str) -> Path | None:
        """A file of ``cases/CASE_ID``, or None."""
        return self.file(f"cases/{case_id}/{name}")

    def layout(self, row: ManifestRow) -> Layout | None:
        """The layout that the case brought or that was planned for it; None if there is none that can be read."""
        if row.case.layout is not None:
            return row.case.layout
        path = self.case_file(row.case.id, "layout.json")
        try:
            return load_layout(path) if path is not None and path.stat().st_size <= LINE_LIMIT else None
        except (OSError, UserError):
            return None


def load_runs(folders: Sequence[Path]) -> list[ReportRun]:
    """Read the runs of one suite, each with a label of its own.

    Raises:
        UserError: There are no runs, a folder is no run, one was given twice, their suites differ, or none has a case.
    """
    if not folders:
        raise UserError("no runs were given", expected="at least one run folder", remedy="make one with eval.replay")
    runs = [load_run(folder) for folder in folders]
    first = runs[0]
    for run in runs[1:]:
        ours, theirs = (f"{each.header.suite} (revision {each.header.suite_revision})" for each in (first, run))
        if ours != theirs:
            raise UserError(
                f"{run.folder} is a run of {theirs}, but {first.folder} is a run of {ours}",
                expected="runs of one suite and revision",
                remedy="make a report for each suite",
            )
    by_identity: dict[str, ReportRun] = {}
    for run in runs:
        twin = by_identity.setdefault(run.header.identity, run)
        if twin is not run:
            raise UserError(
                f"{run.folder} and {twin.folder} are the same run (identity {run.header.identity})",
                expected="each run once",
                remedy="name each run once; shards of one run belong in one folder",
            )
    if not any(run.rows for run in runs):
        problems = [f"{problem.what} ({problem.example})" for run in runs for problem in run.problems.values()]
        raise UserError(
            f"there is nothing to compare: {'; '.join(problems[:3]) or 'the manifests are empty'}",
            expected="runs with cases that eval.replay made",
        )
    return _with_unique_labels(runs)


def load_run(folder: Path) -> ReportRun:
    """Read one run folder.

    Raises:
        UserError: It has no readable run.json or no manifest.jsonl.
    """
    header = read_header(folder)
    run = ReportRun(folder, header.label, header, {}, {})
    check_has_manifest(folder)
    for row in _read_lines(run, folder / MANIFEST, ManifestRow):
        if row.case.suite != header.suite:
            run.note("manifest rows of another suite", f"{row.case.id} of {row.case.suite}")
            continue
        if row.case.id in run.rows:  # a case that failed first and was made later
            run.note("manifest rows replaced by a later row of the same case", row.case.id)
        run.rows[row.case.id] = row
    for row in list(run.rows.values()):
        if not belongs(header, row, run.layout):
            run.note("manifest rows of another run: their model or settings are not those of run.json", row.case.id)
            del run.rows[row.case.id]
    _read_scores(run)
    return run


def _read_scores(run: ReportRun) -> None:
    path = run.folder / SCORES
    if not path.is_file():
        run.note("no scores.jsonl: run eval.score first", path.name)
        return
    contradicted: set[tuple[Column, str]] = set()
    for row in _read_lines(run, path, ScoreRow):
        column = Column(row.metric, row.proxy)
        if row.suite != run.header.suite:
            run.note("scores of another suite", f"{row.case_id} of {row.suite}")
        elif row.case_id not in run.rows:
            run.note("scores of cases that are not in the manifest", row.case_id)
        elif row.value is not None and not math.isfinite(row.value):
            run.note("scores that are not finite", f"{row.case_id}: {row.metric}")
        elif (column, row.case_id) in contradicted:
            run.note("repeated scores that contradict each other", f"{row.case_id}: {row.metric}")
        else:
            known = run.scores.setdefault(column, {}).setdefault(row.case_id, row)
            if known is row:
                continue
            if known == row:
                run.note("repeated scores", f"{row.case_id}: {row.metric}")
            else:
                contradicted.add((column, row.case_id))
                run.note("repeated scores that contradict each other", f"{row.case_id}: {row.metric}", count=2)
                run.scores[column][row.case_id] = known.model_copy(
                    update={"value": None, "excluded": "scores contradict each other"}
                )


def _read_lines(run: ReportRun, path: Path, model: type[Row]) -> Iterator[Row]:
    """The rows of a JSON lines file; damaged lines are counted."""
    what = f"damaged lines of {path.name}"
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_LIMIT):
                number += 1
                whole = True
                while len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                    whole, line = False, file.readline(LINE_LIMIT)
                if whole and not line.strip():
                    continue
                try:
                    row = model.model_validate_json(line) if whole else None
                except ValidationError as error:
                    run.note(what, f"line {number}: {_reason(error)}")
                    continue
                if row is None:
                    run.note(what, f"line {number} is longer than {LINE_LIMIT >> 20} MiB")
                else:
                    yield row
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", expected="a readable file", remedy="check its rights"
        ) from error


def _with_unique_labels(runs: list[ReportRun]) -> list[ReportRun]:
    """Labels as given where they differ; otherwise with the model, then with the settings' hash."""
    additions = ("model", "settings_hash", "identity")
    labels = [run.header.label for run in runs]
    for name in additions:
        doubled = {label for label in labels if labels.count(label) > 1}
        if not doubled:
            break
        labels = [
            f"{label}, {getattr(run.header, name)[:40]}" if label in doubled else label
            for label, run in zip(labels, runs, strict=True)
        ]
    return [replace(run, label=label) for run, label in zip(runs, labels, strict=True)]


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
