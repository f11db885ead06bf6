"""Means of scores, with what is excluded counted beside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.metrics.compbench import CATEGORIES, average
from eval.types import ScoreRow


@dataclass(frozen=True)
class Mean:
    """The mean of a metric over the videos that count.

    Attributes:
        value: None if no video counts.
        excluded: Reasons why others do not, with their numbers.
    """

    metric: str
    value: float | None
    count: int
    excluded: Counter[str]


def summarize(rows: Iterable[ScoreRow]) -> list[Mean]:
    """The mean of each metric, in the order of first occurrence."""
    by_metric: dict[str, list[ScoreRow]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return [_mean(metric, scored) for metric, scored in by_metric.items()]


def table(means: Sequence[Mean]) -> str:
    """Plain text; the average of T2V-CompBench where all seven categories have a mean."""
    lines = [f"{mean.metric:20} {_number(mean.value)}  n={mean.count}{_excluded(mean.excluded)}" for mean in means]
    found = {mean.metric: mean.value for mean in means if mean.metric in CATEGORIES and mean.value is not None}
    if set(found) == set(CATEGORIES):
        lines.append(f"{'average of seven':20} {_number(average(found))}")
    return "\n".join(lines) or "no metric applies"


def _mean(metric: str, rows: Sequence[ScoreRow]) -> Mean:
    values = [row.value for row in rows if row.value is not None]
    reasons = Counter(row.excluded or "no value" for row in rows if row.value is None)
    return Mean(metric, sum(values) / len(values) if values else None, len(values), reasons)


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:6.3f}"


def _excluded(reasons: Counter[str]) -> str:
    if not reasons:
        return ""
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f", excluded {sum(reasons.values())}: {said}"
