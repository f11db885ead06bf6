"""The command from run folders to files that agree."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from eval.report.__main__ import main
from eval.report.schema import Report
from tests.eval.report.synthetic import make_case, write_run

FILES = ["cases.csv", "report.html", "report.json", "report.md", "report.schema.json", "scores.csv"]


def test_all_files_are_written_and_agree(runs: list[str], tmp_path: Path) -> None:
    assert main([*runs, "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    report = Report.model_validate_json((tmp_path / "report.json").read_text())
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [cell.mean for cell in report.cells]
    assert {row["judge"] for row in rows} == {"proxy"}
    with (tmp_path / "cases.csv").open() as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 12 + 12 + 11
    assert [row["error"] for row in cases if row["status"] == "refused"] == [
        "the planner did not understand the prompt"
    ]
    markdown = (tmp_path / "report.md").read_text()
    assert "| ttom | toy-model | ttom | 11 | 1 | 0 | 0 |" in markdown
    assert "1 not made" in markdown


def test_another_baseline_turns_the_differences_round(runs: list[str], tmp_path: Path) -> None:
    assert main([*runs, "--out", str(tmp_path), "--baseline", "ttom"]) == 0
    report = Report.model_validate_json((tmp_path / "report.json").read_text())
    cell = next(c for c in report.cells if (c.run, c.metric, c.by) == ("base", "layout_iou", "all"))
    assert cell.difference is not None and cell.difference.mean < 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{missing}", "--out", "{out}"], "run.json cannot be read"),
        (["{run}", "--out", "{out}", "--embed", "some"], "cannot embed 'some'"),
        (["{run}", "--out", "{out}", "--baseline", "lvd"], "no run is called 'lvd'"),
        (["{run}", "--out", "/proc/report"], "cannot write to /proc/report"),
    ],
)
def test_mistakes_are_one_clear_error(
    arguments: list[str], message: str, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"missing": str(tmp_path / "missing"), "run": runs[0], "out": str(tmp_path / "out")}
    assert main([argument.format(**names) for argument in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_no_report_is_written_into_a_run(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path(runs[0]).iterdir())
    assert main([*runs, "--out", runs[0]]) == 2
    assert f"{runs[0]} is a run" in capsys.readouterr().err
    assert sorted(Path(runs[0]).iterdir()) == before


@pytest.mark.slow
def test_ten_thousand_cases(tmp_path: Path) -> None:
    """Ten times the cases are ten times the page, and its skeleton stays small."""
    sizes = []
    for count in (1_000, 10_000):
        folder = write_run(tmp_path / str(count), "base", [make_case(i) for i in range(count)], videos=False)
        assert main([str(folder), "--out", str(tmp_path / f"out-{count}")]) == 0
        sizes.append((tmp_path / f"out-{count}" / "report.html").stat().st_size)
    assert sizes[1] < 10.2 * sizes[0] and sizes[1] < 10_000 * 800
