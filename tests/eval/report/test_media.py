"""Videos and pictures of the page: embedded, copied beside it, or left out where they changed."""

from __future__ import annotations

import json
from pathlib import Path

from eval.report.__main__ import main
from tests.eval.report.synthetic import make_case, page_data, write_run


def test_what_does_not_fit_is_copied_beside_the_page(runs: list[str], tmp_path: Path) -> None:
    assert main([*runs, "--out", str(tmp_path), "--embed", "none"]) == 0
    data = page_data(tmp_path)
    videos = {run["video"] for case in data["cases"] for run in case["runs"] if "video" in run}
    assert all((tmp_path / video).read_bytes()[4:8] == b"ftyp" for video in videos)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "media").iterdir()}
    assert main([*runs, "--out", str(tmp_path), "--embed", "none"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "media").iterdir()} == before


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
