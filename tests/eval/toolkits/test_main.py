"""The command line of the toolkits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eval.metrics.compbench import CATEGORIES
from eval.runs import read_scores
from eval.toolkits.__main__ import main
from eval.toolkits.compbench import Toolkit
from tests.eval.toolkits.compbench_runs import make_run


def test_command_line(tmp_path: Path, toolkit: Toolkit, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run", *CATEGORIES)
    arguments = ["compbench", str(path), "--toolkit", str(toolkit.folder), "--llava-python", sys.executable,
                 "--detection-python", sys.executable, "--name", "mine"]  # fmt: skip
    assert main([*arguments, "--check"]) == 0
    assert "7 categories can be evaluated" in capsys.readouterr().out
    assert not (path / "scores.jsonl").exists()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "average of seven" in out and "excluded 1: 1 unreadable reply" in out
    rows = read_scores(path / "scores.jsonl")
    assert len(rows) == 28 and not any(row.proxy for row in rows)
    (motion,) = [row for row in rows if row.case_id == "motion_binding-0002"]
    assert motion.metric == "motion" and motion.value == pytest.approx(0.6)
    (bad,) = [row for row in rows if row.case_id == "action_binding-0003"]
    assert bad.value is None and bad.excluded == "unreadable reply"
    zipped = tmp_path / "a.zip"
    assert main(["leaderboard", str(path / "toolkits" / "compbench"), "--out", str(zipped), "--name", "mine"]) == 0
    assert zipped.is_file()
    assert main([*arguments[:3], str(tmp_path / "none")]) == 2
    assert "a script is missing" in capsys.readouterr().err


def test_a_category_without_a_good_video_is_told(
    tmp_path: Path, toolkit: Toolkit, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_run(tmp_path / "run", "action", "interaction", numbers=(1, 2))
    arguments = ["compbench", str(path), "--toolkit", str(toolkit.folder), "--llava-python", sys.executable,
                 "--detection-python", sys.executable, "--check"]  # fmt: skip
    for video in (path / "videos" / "interaction").iterdir():
        video.unlink()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "interaction: 2 videos left out: missing video" in out and "1 categories can be evaluated" in out
    for video in (path / "videos" / "action_binding").iterdir():
        video.write_bytes(b"")
    assert main(arguments) == 2
    assert "action: 2 videos left out: not the recorded video" in capsys.readouterr().err


def test_files_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run", "motion", "numeracy", numbers=(1, 2))
    table = tmp_path / "m_motion_score.csv"
    table.write_text("id,object_1,d_1,Score\n0001,cat,left,0.6\nscore: ,0.6\n")
    assert main(["import-compbench", str(path), str(table)]) == 0
    other = tmp_path / "m_numeracy_video.csv"
    other.write_text("id,Score_1\n0001,1\n0002,0\nscore: ,0.9\n")
    assert main(["import-compbench", str(path), str(other)]) == 0
    assert "numeracy: the last line says 0.9, the rows give 0.5" in capsys.readouterr().out
    found = {row.case_id: (row.value, row.excluded) for row in read_scores(path / "scores.jsonl")}
    assert found["motion_binding-0001"] == (0.6, None) and found["motion_binding-0002"] == (None, "not scored")
    assert found["generative_numeracy-0002"] == (0.0, None)
    table.write_text("id,Score\n0009,0.6\nscore: ,0.6\n")
    assert main(["import-compbench", str(path), str(table)]) == 2
    assert "the video 0009" in capsys.readouterr().err
    assert main(["import-compbench", str(path), str(tmp_path / "scores.csv")]) == 2
    assert "is not the name of a category's scores" in capsys.readouterr().err
