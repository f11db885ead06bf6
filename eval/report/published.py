"""The paper's numbers, and official scores of ours in the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from eval.metrics import vbench
from eval.report.schema import Cell, OwnRow, Published, PublishedTable


def beside_published(suite: str, labels: Sequence[str], cells: Iterable[Cell]) -> Published:
    """The published tables of a suite, with the official scores of the runs of these labels."""
    official: dict[str, dict[str, float]] = {label: {} for label in labels}
    for cell in cells:
        if not cell.proxy and cell.by == "all" and cell.mean is not None:
            official[cell.run][cell.metric] = cell.mean
    found = published()
    tables = [_beside(table, official) for table in found.tables if suite.startswith(table.suite)]
    return found.model_copy(update={"tables": tuple(tables)})


@cache
def published() -> Published:
    """All published tables."""
    return Published.model_validate_json(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


def _beside(table: PublishedTable, official: Mapping[str, Mapping[str, float]]) -> PublishedTable:
    own = []
    for label, scores in official.items():
        known = {**_totals(table, scores), **scores}
        values = tuple(known.get(column.id) for column in table.columns)
        if any(value is not None for value in values):
            own.append(OwnRow(label=label, values=values))
    return table.model_copy(update={"own": tuple(own)})


def _totals(table: PublishedTable, scores: Mapping[str, float]) -> dict[str, float]:
    """The means that the benchmarks define, where every score that they need is there."""
    names = [column.id for column in table.columns]
    if "average" in names:
        parts = [scores.get(name) for name in names if name != "average"]
        known = [part for part in parts if part is not None]
        return {"average": fmean(known)} if len(known) == len(parts) else {}
    if "total" in names and all(name in scores for name in vbench.DIMENSIONS):
        total = vbench.aggregate({name: scores[name] for name in vbench.DIMENSIONS})
        return {"total": total.total, "quality": total.quality, "semantic": total.semantic}
    return {}
