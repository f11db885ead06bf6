"""The sheet to judge layouts by, and the table of the verdicts."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from experiments.planning import rubric


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    for name in rubric.FILES:
        lines = ["A cat zorbs and runs left" if line % 4 else "in a forest" for line in range(1, 201)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["rubric", *options])
    rubric.main()


def test_the_sheet_shows_prompts_boxes_and_refusals(
    prompts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--prompts", str(prompts), "--sheet")
    shown = capsys.readouterr().out
    assert shown.count(" A cat zorbs and runs left\n  cat") == 28
    assert re.search(r"cat \[cat\] x 1: \(0\.8., 0\.5.\) -> \(0\.1., 0\.5.\)", shown)
    assert 'left out: "zorbs" (not understood)' in shown
    assert "refused: the prompt names no object" in shown


def test_verdicts_are_counted_and_outdated_ones_named(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rubric.outcomes(prompts)
    verdicts: dict[str, dict[str, str]] = {name: {} for name in rubric.FILES}
    for (name, line), (_, outcome) in found.items():
        verdicts[name][str(line)] = f"{'refused' if line % 4 == 0 else 'right'} {rubric.digest(outcome)}"
    file = tmp_path / "rubric.json"
    file.write_text(json.dumps({"verdicts": verdicts}))
    monkeypatch.setattr(rubric, "RESULTS", file)
    run(monkeypatch, "--prompts", str(prompts))
    assert "all                   60  right 28  incomplete 0  wrong 0  refused 32" in capsys.readouterr().out
    verdicts["6_interaction"]["18"] = "right 000000000000"
    file.write_text(json.dumps({"verdicts": verdicts}))
    with pytest.raises(SystemExit, match="not the judged ones any more: 6_interaction 18"):
        run(monkeypatch, "--prompts", str(prompts))


def test_committed_verdicts_agree_with_their_table() -> None:
    result = json.loads(rubric.RESULTS.read_text())
    assert rubric.table(result["verdicts"]) == result["table"]
    assert {len(lines) for lines in result["verdicts"].values()} == {len(rubric.LINES)}
    assert "A cat" not in rubric.RESULTS.read_text()


def test_a_missing_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="1_consistent_attr.txt does not exist"):
        run(monkeypatch, "--prompts", str(tmp_path))
