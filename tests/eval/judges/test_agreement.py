"""How far two judges agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.score import main
from eval.types import Case, ManifestRow
from tests.eval.cases import case
from tests.eval.judged import identity_of
from tests.eval.scoring import answer, sha, write_run

pytestmark = pytest.mark.usefixtures("scored_metric")


def test_two_judges_and_their_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from eval.metrics.dialogues import question

    facts = {"phrases": "a blue car; a white fence"}
    cases: list[Case] = [case(i, category="consistent_attr", facts=facts) for i in range(4)]
    path = write_run(tmp_path / "run", 0)
    rows = [
        ManifestRow(identity=identity_of(c), case=c, status="made", video=c.video, sha256=sha(i))
        for i, c in enumerate(cases)
    ]
    (path / "manifest.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    asked = question("compbench/consistent/v1", facts, 0.1, 0)
    first = [["A", "A"], ["B", "B"], ["A", "B"], ["A", None]]
    second = [["A", "B"], ["B", "B"], ["A", "A"], ["A", None]]
    for name, choices in (("vlm-one", first), ("vlm-two", second)):
        answer(tmp_path, {i: {"choices": c, "replies": []} for i, c in enumerate(choices)}, name, asked=asked)
    arguments = [str(path), "--answers", str(tmp_path / "answers"), "--agreement", "vlm-one"]
    assert main([*arguments, "vlm-two"]) == 0
    # 6 of 8 equal; A: 4 and 4, B: 3 and 3, unreadable: 1 and 1; chance (16 + 9 + 1) / 64; (.75 - .40625) / .59375
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["compbench/consistent/v1", "8", "0.75", "0.58"]
    assert main([*arguments, "vlm-three"]) == 2
    assert "0 judges are called vlm-three" in capsys.readouterr().err
