"""Runs as judges and scores read them: rows of other runs and paths that lead out are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.judge import run
from eval.planned import PlannedCase
from tests.eval.cases import case
from tests.eval.judged import ToyJudge, cases, clip, command, write_run
from ttom.errors import UserError
from ttom.identity import layout_digest
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject, save_layout

pytestmark = pytest.mark.usefixtures("asked_metric")


def test_a_manifest_of_another_suite(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", cases(1), [clip(0)])
    other = write_run(tmp_path / "other", [case(0, suite="elsewhere")], [clip(0)])
    (one / "manifest.jsonl").write_bytes((other / "manifest.jsonl").read_bytes())
    with pytest.raises(UserError, match="'c-0000' of the suite elsewhere, but the run is one of toy"):
        run(command(tmp_path, one), ToyJudge())
    (one / "manifest.jsonl").unlink()
    with pytest.raises(UserError, match="no manifest"):
        run(command(tmp_path, one), ToyJudge())
    with pytest.raises(UserError, match="no runs"):
        run(command(tmp_path), ToyJudge())


def test_a_manifest_of_another_model_or_of_two_runs(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", cases(2), [clip(0), clip(1)])
    header = json.loads((one / "run.json").read_text())
    (one / "run.json").write_text(json.dumps(header | {"model": "other", "identity": "another"}))
    with pytest.raises(UserError, match="'c-0000' of another run: its model or settings"):
        run(command(tmp_path, one), ToyJudge())
    (one / "run.json").write_text(json.dumps(header))
    lines = (one / "manifest.jsonl").read_text().splitlines()
    mixed = json.loads(lines[1]) | {"layout_hash": "of another layout"}
    (one / "manifest.jsonl").write_text(f"{lines[0]}\n{json.dumps(mixed)}\n")
    with pytest.raises(UserError, match="'c-0001' of another run"):
        run(command(tmp_path, one), ToyJudge())


def test_rows_of_enriched_prompts_belong_to_their_run(tmp_path: Path) -> None:
    """The planner may have written another text for the video; its layout says so."""
    path = write_run(tmp_path / "run", cases(1), [clip(0)])
    box = Box(x0=0.0, y0=0.0, x1=0.5, y1=0.5)
    cat = LayoutObject(id="1", phrase="cat", noun="cat", key_frames=(KeyFrame(time=0.0, box=box),))
    text = "A cat number 0 in golden light"
    planned = PlannedCase(case(0), text, Layout(prompt=text, objects=(cat,)))
    (path / "cases" / "c-0000").mkdir(parents=True)
    assert planned.layout is not None
    save_layout(planned.layout, path / "cases" / "c-0000" / "layout.json")
    line = json.loads((path / "manifest.jsonl").read_text())
    line |= {"identity": planned.identity("i"), "layout_hash": layout_digest(planned.layout)}
    (path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    assert run(command(tmp_path, path), ToyJudge()).answered == 2
    header = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(header | {"settings": {"planner": {"kind": "rules"}}}))
    with pytest.raises(
        UserError, match="of another run"
    ):  # the rules enrich nothing: the prompt was changed afterwards
        run(command(tmp_path, path), ToyJudge())


def test_a_video_path_that_leads_out_of_the_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(1), [clip(0)])
    line = json.loads((path / "manifest.jsonl").read_text())
    (path / "manifest.jsonl").write_text(json.dumps(line | {"video": "../../../etc/passwd"}) + "\n")
    assert run(command(tmp_path, path), ToyJudge()).answered == 0
