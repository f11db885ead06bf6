"""Videos and metadata where the scripts look for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.runs import load_run
from eval.toolkits.compbench import Toolkit, evaluate, plan
from eval.toolkits.process import Programs
from tests.eval.judged import clip, write_run
from tests.eval.toolkits.compbench_runs import case, evaluated, make_run
from ttom.errors import UserError


def test_metadata_stands_where_the_number_of_the_video_says(tmp_path: Path, toolkit: Toolkit) -> None:
    run = load_run(make_run(tmp_path / "run", "numeracy", numbers=(2, 5)))
    evaluated(toolkit, run, tmp_path / "out", "numeracy")
    items = json.loads((tmp_path / "out" / "numeracy" / "generative_numeracy.json").read_text())
    assert len(items) == 5 and items[4] == {"prompt": "numeracy 5", "objects": "fish", "numbers": "2"}
    assert items[0] == {"prompt": ""}


def test_bad_videos_are_left_out_and_counted(tmp_path: Path, toolkit: Toolkit) -> None:
    path = make_run(tmp_path / "run", "interaction")
    folder = path / "videos" / "interaction"
    (folder / "0001.mp4").unlink()
    (folder / "0002.mp4").write_bytes(b"no video")
    (folder / "Thumbs.db").write_text("stray")
    (task,) = plan(load_run(path), tmp_path / "out")
    assert task.check.problems == {"missing video": 1, "not the recorded video": 1}
    assert [p.name for p in task.check.stray] == ["Thumbs.db"]
    assert any("belong to no case" in line for line in task.check.told())
    assert sorted(evaluate(toolkit, task, Programs()).scores) == [3, 5]
    assert (folder / "Thumbs.db").exists()


def test_videos_that_are_too_short_or_of_two_lengths(tmp_path: Path) -> None:
    cases = [case("action", 1), case("action", 2)]
    short = write_run(tmp_path / "short", cases, [clip(0), clip(1, frames=9)], suite="compbench")
    (task,) = plan(load_run(short), tmp_path / "out")
    assert task.check.problems == {"fewer than 16 frames": 1}
    mixed = write_run(tmp_path / "mixed", cases, [clip(0), clip(1, frames=33)], suite="compbench")
    with pytest.raises(UserError, match="differ in length"):
        plan(load_run(mixed), tmp_path / "out")
