"""Means, differences and intervals of runs that are compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from eval.report.compare import compare, higher_is_better
from eval.report.runs import ReportRun, load_runs
from eval.report.schema import Cell, Report
from eval.report.tables import markdown
from tests.eval.report.synthetic import CASES, runs_of, write_run
from ttom.errors import UserError


def cell_of(report: Report, run: str, metric: str, by: str = "all", group: str = "all") -> Cell:
    found = [c for c in report.cells if (c.run, c.metric, c.by, c.group) == (run, metric, by, group)]
    assert len(found) == 1
    return found[0]


def values(run: ReportRun, metric: str) -> dict[str, float]:
    lines = (run.folder / "scores.jsonl").read_text().splitlines()
    return {r["case_id"]: r["value"] for r in map(json.loads, lines) if r["metric"] == metric}


def test_means_and_differences_are_those_of_the_scores(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    report = compare(runs)
    base, ttom = (values(run, "layout_iou") for run in runs)
    cell = cell_of(report, "ttom", "layout_iou")
    gains = np.array([ttom[case.id] - base[case.id] for case in CASES])
    assert cell.mean == pytest.approx(np.mean(list(ttom.values())))
    assert cell.low is not None and cell.high is not None and cell.low < cell.mean < cell.high
    assert cell.difference is not None and cell.difference.mean == pytest.approx(gains.mean())
    assert (cell.difference.better, cell.difference.worse) == ((gains > 0).sum(), (gains < 0).sum())
    assert cell.difference.p is None
    assert cell_of(report, "base", "layout_iou").difference is None


def test_yes_no_scores_get_mcnemars_exact_test(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    base, ttom = (values(run, "all_facts") for run in runs)
    gained = sum(ttom[c.id] > base[c.id] for c in CASES)
    lost = sum(ttom[c.id] < base[c.id] for c in CASES)
    difference = cell_of(compare(runs), "ttom", "all_facts").difference
    assert difference is not None and difference.p == pytest.approx(binomtest(gained, gained + lost).pvalue)


def test_a_share_of_one_gets_wilsons_interval(tmp_path: Path) -> None:
    write_run(tmp_path / "sure", "sure", CASES, skill=1.1, videos=False)
    cell = cell_of(compare(load_runs([tmp_path / "sure"])), "sure", "all_facts")
    assert (cell.mean, cell.interval, cell.high) == (1.0, "wilson", 1.0)
    assert cell.low == pytest.approx(24 / (24 + 1.959964**2))


def test_refused_missing_and_excluded_cases_are_counted_by_reason(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, refused=[CASES[0].id])
    run = runs[1]
    del run.rows[CASES[3].id]
    column = next(column for column in run.scores if column.metric == "all_facts")
    for scores in run.scores.values():
        del scores[CASES[3].id]
    del run.scores[column][CASES[6].id]
    other = run.scores[column][CASES[9].id]
    run.scores[column][CASES[9].id] = other.model_copy(update={"value": None, "excluded": "unparsable answer"})
    report = compare(runs)
    cell = cell_of(report, "ttom", "all_facts", "category", "motion")
    assert cell.excluded == {"not made": 1, "not scored": 1, "refused": 1, "unparsable answer": 1}
    assert (cell.cases, cell.n) == (8, 4)
    assert cell.difference is not None and cell.difference.n == 4
    assert (report.runs[1].refused, report.runs[1].missing) == (1, 1)


def test_a_run_without_a_metric_keeps_a_missing_cell(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    runs[1].scores = {column: rows for column, rows in runs[1].scores.items() if column.metric != "all_facts"}
    report = compare(runs)
    cell = cell_of(report, "ttom", "all_facts", "category", "count")
    assert (cell.n, cell.mean, cell.difference, cell.excluded) == (0, None, None, {"not scored": 8})
    assert next(a for a in report.averages if a.run == "ttom" and a.metric == "all_facts").mean is None


def test_other_seeds_are_never_paired(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "base", CASES, videos=False)
    other = [case.model_copy(update={"seed": case.seed + (i < 20)}) for i, case in enumerate(CASES)]
    write_run(tmp_path / "b", "ttom", other, videos=False)
    report = compare(load_runs([tmp_path / "a", tmp_path / "b"]))
    difference = cell_of(report, "ttom", "layout_iou").difference
    assert difference is not None and difference.n == 4
    assert [(p.what[:30], p.count) for p in report.runs[1].problems] == [("cases whose prompt or seed dif", 20)]


def test_differences_are_resampled_by_prompt(tmp_path: Path) -> None:
    """Ten copies of each pair are no more evidence than one."""
    copies = [case.model_copy(update={"id": f"{case.id}-{k}", "seed": 100 * k}) for case in CASES for k in range(10)]
    for name, skill in (("base", 0.3), ("ttom", 0.8)):
        write_run(tmp_path / name, name, copies, skill=skill, videos=False)
    runs = load_runs([tmp_path / "base", tmp_path / "ttom"])
    by_case = {name: values(run, "all_facts") for name, run in zip(("base", "ttom"), runs, strict=True)}
    for run in runs:
        for rows in run.scores.values():
            for case_id, row in rows.items():
                first = case_id.rsplit("-", 1)[0] + "-0"
                rows[case_id] = row.model_copy(update={"value": by_case[run.label][first]})
    found = cell_of(compare(runs), "ttom", "all_facts").difference
    assert found is not None and found.low is not None and found.high is not None
    gains = np.array([by_case["ttom"][f"{c.id}-0"] - by_case["base"][f"{c.id}-0"] for c in CASES])
    error = gains.std() / len(CASES) ** 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert found.p is None, "McNemar's test would take the copies for evidence"
    assert "p is McNemar's exact test of yes/no scores, given only where each prompt occurs once" in markdown(
        compare(runs)
    )


def test_seeds_of_one_prompt_have_no_interval(tmp_path: Path) -> None:
    seeds = [CASES[0].model_copy(update={"id": f"seed-{k}", "seed": k}) for k in range(12)]
    for name, skill in (("base", 0.3), ("ttom", 0.8)):
        write_run(tmp_path / name, name, seeds, skill=skill, videos=False)
    runs = load_runs([tmp_path / "base", tmp_path / "ttom"])
    assert len(set(values(runs[1], "layout_iou").values())) > 1
    for metric in ("layout_iou", "all_facts"):
        cell = cell_of(compare(runs), "ttom", metric)
        assert cell.n == 12 and (cell.low, cell.high, cell.interval) == (None, None, None)
        assert cell.difference is not None and cell.difference.n == 12
        assert (cell.difference.low, cell.difference.high, cell.difference.p) == (None, None, None)


def test_seeds_of_one_prompt_that_are_all_right_count_as_one(tmp_path: Path) -> None:
    seeds = [CASES[0].model_copy(update={"id": f"seed-{k}", "seed": k}) for k in range(12)]
    write_run(tmp_path / "sure", "sure", seeds, skill=1.1, videos=False)
    cell = cell_of(compare(load_runs([tmp_path / "sure"])), "sure", "all_facts")
    assert cell.interval == "wilson" and cell.low == pytest.approx(1 / (1 + 1.959964**2))


def test_an_unknown_baseline_lists_the_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'base' or 'ttom'"):
        compare(runs_of(tmp_path), "lvd")


def test_errors_and_flicker_are_better_when_lower() -> None:
    assert [higher_is_better(n) for n in ("layout_miou", "trajectory_error", "flicker", "temporal_flickering")] == [
        True, False, False, True
    ]  # fmt: skip
