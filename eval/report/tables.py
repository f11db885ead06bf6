"""The report as files for people and programs: CSV, Markdown and JSON with its schema."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from eval.report.runs import Column, ReportRun
from eval.report.schema import By, Cell, ColumnSummary, Difference, Report, RunSummary

PROXY_NOTE = (
    "Proxy scores come from judges other than the benchmark's official models. "
    "They compare the runs of this report with each other and with nothing else."
)
MISSING = "missing"
_NAMES: dict[By, str] = {
    "all": "All cases",
    "category": "By category",
    "direction": "By direction",
    "relation": "By relation",
    "count": "By count",
}
_CELL_FIELDS = "run metric judge by group cases n mean low high interval excluded".split()
_DIFFERENCE_FIELDS = "pairs difference difference_low difference_high better worse mcnemar_p".split()


def scores_csv(report: Report) -> str:
    """A line for each metric, group and run, with its difference from the baseline."""
    rows = []
    for cell in report.cells:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in cell.excluded.items())
        judge = "proxy" if cell.proxy else "official"
        values = [cell.run, cell.metric, judge, cell.by, cell.group, cell.cases, cell.n]
        values += [cell.mean, cell.low, cell.high, cell.interval, reasons]
        difference = cell.difference
        if difference is None:
            values += [None] * len(_DIFFERENCE_FIELDS)
        else:
            values += [difference.n, difference.mean, difference.low, difference.high]
            values += [difference.better, difference.worse, difference.p]
        rows.append(values)
    return _csv([*_CELL_FIELDS, *_DIFFERENCE_FIELDS], rows)


def cases_csv(runs: Sequence[ReportRun]) -> str:
    """A line for each case of each run, with a column for each metric; proxy columns say so in their names."""
    columns: list[Column] = sorted({column for run in runs for column in run.scores}, key=lambda c: (c.proxy, c.metric))
    names = [f"{c.metric} ({'proxy' if c.proxy else 'official'})" for c in columns]
    rows = []
    for run in runs:
        for case_id, row in run.rows.items():
            scores = [run.scores.get(column, {}).get(case_id) for column in columns]
            case = row.case
            head = [run.label, case_id, case.category, case.prompt, case.seed, row.status, row.seconds.get("total")]
            values = [score.value if score and score.excluded is None else None for score in scores]
            rows.append([*head, *values, row.error])
    return _csv(["run", "case", "category", "prompt", "seed", "status", "seconds", *names, "error"], rows)


def markdown(report: Report) -> str:
    """Every table of the report."""
    parts = [
        f"# {report.suite}: {len(report.runs)} run{'s' * (len(report.runs) != 1)} compared",
        f"{report.cases} cases, suite revision {report.suite_revision}. Scores are means with 95% intervals: a "
        "bootstrap clustered by prompt, which needs two prompts, or Wilson's where all scores are 0 or all are 1. "
        f"Differences are paired with **{report.baseline}** over the cases that both runs have; p is McNemar's exact "
        "test of yes/no scores, given only where each prompt occurs once.",
        "## Runs",
        _runs_table(report.runs),
    ]
    if report.dropped:
        parts += ["**Prompts that are not in the suite** (run.json says why)"]
        parts += [_table(["Category", "Prompts"], report.dropped.items())]
    for proxy in (False, True):
        columns = [column for column in report.columns if column.proxy is proxy]
        if columns:
            parts.append("## Proxy scores" if proxy else "## Official scores")
            parts += [PROXY_NOTE] if proxy else []
            parts += [part for column in columns for part in _metric_tables(report, column)]
    parts += _published_tables(report)
    parts += _problems(report)
    return "\n\n".join(parts) + "\n"


def number(value: float | None, signed: bool = False) -> str:
    """A score for people: three decimals, fewer for large values."""
    if value is None:
        return "-"
    digits = 3 if abs(value) < 10 else 1
    return f"{value:{'+' if signed else ''}.{digits}f}"


def spread(low: float | None, high: float | None, signed: bool = False) -> str:
    """An interval for people; nothing where there is none."""
    return "" if low is None or high is None else f" [{number(low, signed)}, {number(high, signed)}]"


def _runs_table(runs: Iterable[RunSummary]) -> str:
    head = "Run|Model|Method|Made|Refused|Failed|Missing|Seconds a video|Peak memory (GiB)|Device".split("|")
    rows = []
    for run in runs:
        seconds = "-" if run.seconds is None else f"{run.seconds:.2f}"
        peak = "-" if run.peak_bytes is None else f"{run.peak_bytes / 2**30:.2f}"
        counts = [run.made, run.refused, run.failed, run.missing]
        rows.append([run.label, run.model, run.method, *counts, seconds, peak, ", ".join(run.devices) or "-"])
    return _table(head, rows)


def _metric_tables(report: Report, column: ColumnSummary) -> list[str]:
    cells = [cell for cell in report.cells if (cell.metric, cell.proxy) == (column.metric, column.proxy)]
    direction = "higher is better" if column.higher_is_better else "lower is better"
    parts = [f"### {column.metric} ({'proxy' if column.proxy else 'official'}; {direction})"]
    averages = [a for a in report.averages if (a.metric, a.proxy) == (column.metric, column.proxy)]
    for by in _NAMES:
        chosen = [cell for cell in cells if cell.by == by]
        if chosen:
            head = ["Run", *([] if by == "all" else [by.capitalize()]), "Mean", "n", "Excluded", "Difference", "p"]
            parts += [f"**{_NAMES[by]}**", _table(head, [_cell_row(cell) for cell in chosen])]
        if by == "category" and averages:
            rows = [[a.run, a.categories, MISSING if a.mean is None else number(a.mean)] for a in averages]
            parts += ["**Mean of the categories**", _table(["Run", "Categories", "Mean"], rows)]
    return parts


def _cell_row(cell: Cell) -> list[object]:
    mean = MISSING if cell.mean is None else number(cell.mean) + spread(cell.low, cell.high)
    reasons = ", ".join(f"{count} {reason}" for reason, count in cell.excluded.items()) or "0"
    group = [] if cell.by == "all" else [cell.group]
    return [cell.run, *group, mean, cell.n, reasons, *_difference(cell.difference)]


def _difference(found: Difference | None) -> tuple[str, str]:
    if found is None:
        return "-", "-"
    told = number(found.mean, signed=True) + spread(found.low, found.high, signed=True)
    return f"{told} (n = {found.n})", "-" if found.p is None else f"{found.p:.2g}"


def _published_tables(report: Report) -> list[str]:
    if not report.published.tables:
        return []
    parts = [
        "## Published numbers",
        f"From *{report.published.paper}* ({report.published.version}). {report.published.note}",
    ]
    for table in report.published.tables:
        head = ["Method", *(column.name for column in table.columns), "Origin"]
        rows = [
            [own.label, *(_four(value) for value in own.values), "this report, official judges"] for own in table.own
        ]
        rows += [[row.label, *(_four(value) for value in row.values), row.origin] for row in table.rows]
        parts += [f"**{table.title}: {table.source}.** {table.note}".rstrip(), _table(head, rows)]
    return parts


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _problems(report: Report) -> list[str]:
    rows = [
        [run.label, problem.what, problem.count, problem.example] for run in report.runs for problem in run.problems
    ]
    return ["## Left out", _table(["Run", "What", "Count", "First"], rows)] if rows else []


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def line(values: Iterable[object]) -> str:
        return "| " + " | ".join(_plain(value) for value in values) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])


def _plain(value: object) -> str:
    """Text that cannot break out of a table's cell."""
    text = " ".join(str(value).split())
    for sign in "\\|<>*_`":
        text = text.replace(sign, f"\\{sign}")
    return text


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell_text(value) for value in row] for row in rows)
    return text.getvalue()


def _cell_text(value: object) -> object:
    """Text as it is, except that spreadsheets must not take a prompt for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
