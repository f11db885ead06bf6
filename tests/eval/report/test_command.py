"""The command from run folders to files: tables, the page's data, embedding, and W&B."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from eval.report.__main__ import main
from eval.report.schema import Report
from tests.eval.report.synthetic import make_case, write_run, write_three_runs

FILES = ["cases.csv", "report.html", "report.json", "report.md", "report.schema.json", "scores.csv"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in write_three_runs(tmp_path_factory.mktemp("runs"))]


def page_data(folder: Path) -> dict[str, Any]:
    text = (folder / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


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


def test_the_page_embeds_every_file_and_names_none(runs: list[str], tmp_path: Path) -> None:
    assert main([*runs, "--out", str(tmp_path), "--embed", "all"]) == 0
    data = page_data(tmp_path)
    references = [
        run[kind] for case in data["cases"] for run in case["runs"] for kind in ("video", "told") if kind in run
    ]
    assert len(references) == 2 * 34 and all(reference.startswith("#") for reference in references)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href)=.?https?:|@import|url\(", text)
    assert not (tmp_path / "media").exists()


def test_what_does_not_fit_is_copied_beside_the_page(runs: list[str], tmp_path: Path) -> None:
    assert main([*runs, "--out", str(tmp_path), "--embed", "none"]) == 0
    data = page_data(tmp_path)
    videos = {run["video"] for case in data["cases"] for run in case["runs"] if "video" in run}
    assert all((tmp_path / video).read_bytes()[4:8] == b"ftyp" for video in videos)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "media").iterdir()}
    assert main([*runs, "--out", str(tmp_path), "--embed", "none"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "media").iterdir()} == before


def test_text_of_a_prompt_cannot_leave_its_place(tmp_path: Path) -> None:
    case = make_case(0).model_copy(update={"prompt": "=1+1 </script><img src=x onerror=alert(1)> | a_b"})
    write_run(tmp_path / "run", "base", [case], videos=False)
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    assert page_data(tmp_path / "out")["cases"][0]["prompt"] == case.prompt
    assert "<img" not in (tmp_path / "out" / "report.html").read_text()
    assert "'=1+1" in (tmp_path / "out" / "cases.csv").read_text()


def test_changed_and_lost_videos_are_left_out(tmp_path: Path) -> None:
    cases = [make_case(0), make_case(1)]
    folder = write_run(tmp_path / "run", "base", cases)
    (folder / "videos" / cases[0].video).write_bytes(b"something else")
    (folder / "videos" / cases[1].video).unlink()
    (folder / "cases" / cases[0].id / "layout.json").write_text("{")
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 0
    assert all("video" not in case["runs"][0] for case in page_data(tmp_path / "out")["cases"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {p["what"]: p["count"] for p in report["runs"][0]["problems"]} == {
        "videos that changed since they were made: not shown": 1,
        "videos that are not there": 1,
        "layouts that cannot be read": 1,
    }


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


@pytest.mark.slow
def test_ten_thousand_cases(tmp_path: Path) -> None:
    """Ten times the cases are ten times the page, and its skeleton stays small."""
    sizes = []
    for count in (1_000, 10_000):
        folder = write_run(tmp_path / str(count), "base", [make_case(i) for i in range(count)], videos=False)
        assert main([str(folder), "--out", str(tmp_path / f"out-{count}")]) == 0
        sizes.append((tmp_path / f"out-{count}" / "report.html").stat().st_size)
    assert sizes[1] < 10.2 * sizes[0] and sizes[1] < 10_000 * 800


def test_wandb_gets_tables_and_videos_offline(runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no key of this machine
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert main([runs[0], "--out", str(tmp_path / "out"), "--wandb", "ttom-test"]) == 0
    places = list((tmp_path / "out" / "wandb").glob("offline-run-*"))
    assert len(places) == 1
    assert len(list(places[0].glob("files/media/videos/**/*.mp4"))) == 12
    tables = [json.loads(path.read_text()) for path in places[0].glob("files/media/table/*.table.json")]
    cases = next(table for table in tables if "prompt" in table["columns"])
    assert len(cases["data"]) == 12 and "all_facts (proxy)" in cases["columns"]
