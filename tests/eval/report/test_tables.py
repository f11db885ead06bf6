"""What the tables say of columns and of prompts that were dropped."""

from __future__ import annotations

from pathlib import Path

from eval.report.compare import compare
from eval.report.runs import load_runs
from eval.report.tables import markdown
from tests.eval.report.synthetic import CASES, write_run


def test_official_and_proxy_scores_are_two_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "base", CASES, videos=False, proxy=True)
    write_run(tmp_path / "b", "ttom", CASES, videos=False, proxy=False)
    report = compare(load_runs([tmp_path / "a", tmp_path / "b"]))
    assert [(c.metric, c.proxy) for c in report.columns] == [
        ("all_facts", False), ("layout_iou", False), ("all_facts", True), ("layout_iou", True)
    ]  # fmt: skip
    official = [c for c in report.cells if c.by == "all" and not c.proxy]
    assert {c.run for c in official if c.mean is None} == {"base"}
    assert all(c.difference is None for c in report.cells)


def test_prompts_that_the_suite_dropped_are_counted(tmp_path: Path) -> None:
    dropped = [{"category": "motion", "prompt": text, "reason": "no sprite"} for text in ("a zebra", "a yak")]
    write_run(tmp_path / "base", "base", CASES, videos=False, dropped=dropped)
    report = compare(load_runs([tmp_path / "base"]))
    assert report.dropped == {"motion": 2}
    assert "| motion | 2 |" in markdown(report)
