"""Runs in, report out: means, paired differences and what was excluded, for every metric and group of cases.

Differences are taken over the cases that a run and the baseline both have, with the same prompt and seed, and are
resampled by prompt. The work grows linearly with the number of cases.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, cast

from eval.report.groups import groups_of
from eval.report.published import beside_published
from eval.report.runs import Column, ReportRun
from eval.report.schema import (
    Average,
    By,
    Cell,
    ColumnSummary,
    Difference,
    ProblemCount,
    Report,
    RunSummary,
)
from eval.types import Case, ManifestRow
from ttom.errors import UserError
from ttom.statistics import Estimate, estimate, mcnemar, paired_difference

NOT_MADE = "not made"
NOT_SCORED = "not scored"
Groups = dict[tuple[By, str], list[str]]
"""Case ids by what they are grouped by and the group's name."""


@dataclass(frozen=True)
class Cases:
    """The cases of all runs together, in the order of the first manifest that has them."""

    by_id: dict[str, Case]
    groups: Groups

    @classmethod
    def of(cls, runs: Sequence[ReportRun]) -> Cases:
        by_id: dict[str, Case] = {}
        for run in runs:
            for row in run.rows.values():
                known = by_id.setdefault(row.case.id, row.case)
                if not _comparable(known, row.case):
                    run.note("cases whose prompt or seed differs from another run's: never paired", row.case.id)
        groups: Groups = {}
        for case in by_id.values():
            for key in (("all", "all"), ("category", case.category), *groups_of(case)):
                groups.setdefault(cast(tuple[By, str], key), []).append(case.id)
        return cls(by_id, groups)


def compare(runs: Sequence[ReportRun], baseline: str | None = None, provenance: dict[str, Any] | None = None) -> Report:
    """Compare runs of one suite with one of them.

    Args:
        baseline: Label of the run that differences are taken against; the first run if None.

    Raises:
        UserError: No run has the baseline's label.
    """
    base = _find_baseline(runs, baseline)
    cases = Cases.of(runs)
    columns = sorted({column for run in runs for column in run.scores}, key=lambda c: (c.proxy, c.metric))
    cells: list[Cell] = []
    for column in columns:
        applicable = _applicable(runs, cases, column)
        binary = _is_binary(runs, column)
        for (by, group), ids in cases.groups.items():
            chosen = [case_id for case_id in ids if case_id in applicable]
            if chosen:
                cells += [_cell(run, base, column, binary, (by, group), chosen) for run in runs]
    return Report(
        suite=runs[0].header.suite,
        suite_revision=runs[0].header.suite_revision,
        baseline=base.label,
        cases=len(cases.by_id),
        categories=tuple(group for by, group in cases.groups if by == "category"),
        dropped=dict(Counter(each.get("category", "") for each in runs[0].header.dropped)),
        columns=tuple(_column_summary(runs, column) for column in columns),
        runs=tuple(_run_summary(run, cases) for run in runs),
        cells=tuple(cells),
        averages=tuple(_averages(cells)),
        published=beside_published(runs[0].header.suite, [run.label for run in runs], cells),
        provenance=provenance or {},
    )


def higher_is_better(metric: str) -> bool:
    """False for metrics whose name says that they measure an error, a distance or flicker."""
    return not metric.endswith(("error", "distance", "flicker"))


def _find_baseline(runs: Sequence[ReportRun], label: str | None) -> ReportRun:
    if label is None:
        return runs[0]
    labels = [run.label for run in runs]
    if label not in labels:
        raise UserError(f"no run is called {label!r}", expected=" or ".join(map(repr, labels)))
    return runs[labels.index(label)]


def _comparable(a: Case, b: Case) -> bool:
    return (a.prompt, a.seed) == (b.prompt, b.seed)


def _applicable(runs: Sequence[ReportRun], cases: Cases, column: Column) -> set[str]:
    """Cases that the column is about: scored in some run; or made by none, in a category that the column scores."""
    scored = {case_id for run in runs for case_id in run.scores.get(column, ())}
    categories = {cases.by_id[case_id].category for case_id in scored}
    made = {case_id for run in runs for case_id, row in run.rows.items() if row.status == "made"}
    return scored | {i for i, case in cases.by_id.items() if i not in made and case.category in categories}


def _is_binary(runs: Sequence[ReportRun], column: Column) -> bool:
    rows = (row for run in runs for row in run.scores.get(column, {}).values())
    return all(row.binary and row.value in (None, 0, 1) for row in rows)


def _cell(
    run: ReportRun, base: ReportRun, column: Column, binary: bool, group: tuple[By, str], ids: Sequence[str]
) -> Cell:
    scores = run.scores.get(column, {})
    values: dict[str, float] = {}
    excluded: Counter[str] = Counter()
    for case_id in ids:
        row = scores.get(case_id)
        if row is not None and row.value is not None and row.excluded is None:
            values[case_id] = row.value
        else:
            excluded[_why_excluded(run.rows.get(case_id), row.excluded if row else None)] += 1
    made: dict[str, Any] = {"excluded": dict(sorted(excluded.items()))}
    if values:
        made["mean"] = fmean(values.values())
    if len(values) > 1:
        found = estimate(list(values.values()), [run.rows[i].case.prompt for i in values])
        if _is_interval(found):
            made |= {"low": found.low, "high": found.high}
            made["interval"] = "wilson" if set(values.values()) in ({0}, {1}) else "bootstrap"
    if run is not base:
        made["difference"] = _difference(run, base, column, binary, values)
    by, name = group
    return Cell(
        run=run.label,
        metric=column.metric,
        proxy=column.proxy,
        by=by,
        group=name,
        cases=len(ids),
        n=len(values),
        **made,
    )


def _why_excluded(row: ManifestRow | None, reason: str | None) -> str:
    if row is None:
        return NOT_MADE
    if row.status != "made":
        return row.status
    return reason or NOT_SCORED


def _difference(
    run: ReportRun, base: ReportRun, column: Column, binary: bool, values: dict[str, float]
) -> Difference | None:
    theirs = base.scores.get(column, {})
    pairs: list[tuple[float, float]] = []
    prompts: list[str] = []
    for case_id, value in values.items():
        other = theirs.get(case_id)
        if other is None or other.value is None or other.excluded is not None:
            continue
        if _comparable(run.rows[case_id].case, base.rows[case_id].case):
            pairs.append((value, other.value))
            prompts.append(run.rows[case_id].case.prompt)
    if len(pairs) < 2:
        return None
    ours, others = [a for a, _ in pairs], [b for _, b in pairs]
    found = paired_difference(ours, others, prompts)
    told = _is_interval(found)
    once = len(set(prompts)) == len(prompts)  # McNemar's test knows nothing of clusters
    above, below = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    better, worse = (above, below) if higher_is_better(column.metric) else (below, above)
    return Difference(
        n=found.n,
        mean=found.mean,
        low=found.low if told else None,
        high=found.high if told else None,
        better=better,
        worse=worse,
        p=mcnemar(ours, others) if binary and once else None,
    )


def _is_interval(found: Estimate) -> bool:
    """False for the point that the bootstrap makes of a single prompt, or of prompts whose means are equal."""
    return found.high - found.low > 1e-9


def _averages(cells: Iterable[Cell]) -> list[Average]:
    by_column: dict[tuple[str, str, bool], list[float | None]] = {}
    for cell in cells:
        if cell.by == "category":
            by_column.setdefault((cell.run, cell.metric, cell.proxy), []).append(cell.mean)
    found = []
    for (run, metric, proxy), means in by_column.items():
        if len(means) > 1:
            whole = None if None in means else fmean(cast(list[float], means))
            found.append(Average(run=run, metric=metric, proxy=proxy, categories=len(means), mean=whole))
    return found


def _column_summary(runs: Sequence[ReportRun], column: Column) -> ColumnSummary:
    return ColumnSummary(
        metric=column.metric,
        proxy=column.proxy,
        binary=_is_binary(runs, column),
        higher_is_better=higher_is_better(column.metric),
    )


def _run_summary(run: ReportRun, cases: Cases) -> RunSummary:
    rows = list(run.rows.values())
    statuses = Counter(row.status for row in rows)
    seconds = [row.seconds["total"] for row in rows if row.status == "made" and "total" in row.seconds]
    peaks = [row.peak_bytes for row in rows if row.peak_bytes is not None]
    header = run.header
    return RunSummary(
        label=run.label,
        folder=run.folder.name,
        method=header.method,
        model=header.model,
        model_digest=header.model_digest,
        settings_hash=header.settings_hash,
        identity=header.identity,
        memory_digest=header.memory_digest,
        streaming=header.streaming,
        settings=json.loads(json.dumps(header.settings, default=str)),
        provenance=json.loads(json.dumps(header.provenance, default=str)),
        made=statuses["made"],
        refused=statuses["refused"],
        failed=statuses["failed"],
        missing=len(cases.by_id) - len(rows),
        seconds=fmean(seconds) if seconds else None,
        peak_bytes=max(peaks, default=None),
        devices=tuple(sorted({row.device for row in rows if row.device})),
        problems=tuple(ProblemCount(**vars(problem)) for problem in run.problems.values()),
    )
