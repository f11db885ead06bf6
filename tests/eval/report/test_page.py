"""The page holds all it shows, and the text of a prompt stays text."""

from __future__ import annotations

import re
from pathlib import Path

from eval.report.__main__ import main
from tests.eval.report.synthetic import make_case, page_data, write_run


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


def test_text_of_a_prompt_cannot_leave_its_place(tmp_path: Path) -> None:
    case = make_case(0).model_copy(update={"prompt": "=1+1 </script><img src=x onerror=alert(1)> | a_b"})
    write_run(tmp_path / "run", "base", [case], videos=False)
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    assert page_data(tmp_path / "out")["cases"][0]["prompt"] == case.prompt
    assert "<img" not in (tmp_path / "out" / "report.html").read_text()
    assert "'=1+1" in (tmp_path / "out" / "cases.csv").read_text()
