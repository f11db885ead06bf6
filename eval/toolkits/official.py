"""Official scores as rows of a run: what the toolkits report, by case, never beside proxies in one column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.metrics.compbench import CATEGORIES
from eval.runs import SCORES, Run, read_scores, write_scores
from eval.suites import categories_of
from eval.toolkits.compbench_csv import Table
from eval.toolkits.vbench import FLICKERING, Results
from eval.types import ManifestRow, ScoreRow
from ttom.errors import UserError


def compbench_rows(run: Run, table: Table) -> list[ScoreRow]:
    """The scores of a category, a row for each case of it.

    Raises:
        UserError: The table has videos that the run has not.
    """
    folder = CATEGORIES[table.category].folder
    cases = {int(Path(row.case.video).stem): row for row in run.rows.values() if row.case.category == folder}
    strangers = sorted(set(table.scores) - set(cases))
    if strangers:
        raise UserError(
            f"the scores of {table.category} have the video {strangers[0]:04d}, which {run.path} has not",
            expected="scores of this run's videos",
            remedy="import them into the run they belong to",
        )
    rows = []
    for number, row in cases.items():
        value = table.scores.get(number)
        reason = None if value is not None else "unreadable reply" if number in table.scores else "not scored"
        rows.append(_row(run, row, table.category, value, reason))
    return rows


def vbench_rows(run: Run, results: Results) -> list[ScoreRow]:
    """The scores of a dimension, a row for each case of it.

    Files of temporal_flickering are renumbered by the filter, so their scores belong to prompts, and the rows count
    in the order of the samples.

    Raises:
        UserError: The results have videos that the run has not.
    """
    cases = {
        Path(row.case.video).name: row for row in run.rows.values() if results.dimension in categories_of(row.case)
    }
    strangers = sorted(set(results.videos) - set(cases))
    if strangers:
        raise UserError(
            f"the results of {results.dimension} have the video {strangers[0]!r}, which {run.path} has not",
            expected="results of this run's videos",
        )
    missing = "not static" if results.dimension == FLICKERING else "not scored"
    rows = []
    for name, row in cases.items():
        value = results.videos.get(name)
        rows.append(_row(run, row, results.dimension, value, None if value is not None else missing))
    return rows


def add_official(run: Run, rows: Sequence[ScoreRow]) -> Path:
    """Write official scores into the run; those of other metrics stay, as do all proxy scores."""
    metrics = {row.metric for row in rows}
    kept: Iterable[ScoreRow] = (
        row for row in read_scores(run.path / SCORES) if not row.proxy and row.metric not in metrics
    )
    return write_scores(run, [*kept, *rows], proxy=False)


def _row(run: Run, row: ManifestRow, metric: str, value: float | None, excluded: str | None) -> ScoreRow:
    return ScoreRow(
        run=run.header.label,
        case_id=row.case.id,
        suite=row.case.suite,
        category=row.case.category,
        metric=metric,
        value=value,
        excluded=excluded,
        proxy=False,
    )
