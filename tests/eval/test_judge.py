"""eval.judge: only what is missing is asked, nothing that was answered is lost; a toy metric needs no other change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.judge import main, run
from eval.judges import JUDGES
from tests.eval.cases import case
from tests.eval.judged import ToyJudge, cases, clip, command, write_run
from ttom.errors import UserError

pytestmark = pytest.mark.usefixtures("asked_metric")


def test_each_question_is_asked_once(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(3), [clip(0), clip(1), None])
    judge = ToyJudge()
    tally = run(command(tmp_path, path), judge)
    assert (tally.answered, tally.kept, tally.unanswered, tally.cost) == (4, 0, 0, 1.0)
    again = run(command(tmp_path, path), judge)
    assert (again.answered, again.kept) == (0, 4) and len(judge.asked) == 4
    newer = run(command(tmp_path, path), ToyJudge(version="2"))
    assert newer.answered == 4


def test_runs_that_show_the_same_video_share_answers(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", cases(2), [clip(0), clip(1)])
    two = write_run(tmp_path / "two", cases(2), [clip(0), clip(2)])
    assert run(command(tmp_path, one, two), ToyJudge()).answered == 6


def test_shards_together_ask_everything_once(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(12), [clip(i) for i in range(12)])
    judges = [ToyJudge() for _ in range(3)]
    for i, judge in enumerate(judges, start=1):
        run(command(tmp_path, path, shard=f"{i}/3"), judge)
    asked = [one for judge in judges for one in judge.asked]
    assert len(asked) == len(set(asked)) == 24
    assert all(len(judge.asked) < 24 for judge in judges)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_shards_that_are_none(tmp_path: Path, shard: str) -> None:
    with pytest.raises(UserError, match="shard"):
        run(command(tmp_path, write_run(tmp_path / "run", cases(1), [clip(0)]), shard=shard), ToyJudge())


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [str(tmp_path / "run"), "--judge", "emojiworld", "--answers", str(tmp_path / "answers"), "--quiet"]
    assert main(base) == 2
    assert "run.json cannot be read" in capsys.readouterr().err
    dark = np.zeros((17, 64, 96, 3), np.uint8)
    facts = {"nouns": ["cat"], "counts": [["cat", 2]]}
    write_run(tmp_path / "run", [case(0, facts=facts)], [dark])
    assert main(base) == 0
    assert capsys.readouterr().out.startswith("1 questions answered, 0 were answered already, 0 are open")
    assert main(base) == 0
    shown = capsys.readouterr().out
    assert "0 questions answered, 1 were answered already" in shown
    assert shown.endswith(f"answers: {tmp_path / 'answers'}\n")
    (tmp_path / "run" / "videos" / "toy" / "0000.mp4").unlink()
    assert main([*base[:-3], "--answers", str(tmp_path / "other")]) == 1
    assert "videos not judged: 1 x missing video" in capsys.readouterr().out


def test_a_judge_of_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ttom_test_judges.py").write_text(
        "from eval.judges import JUDGES\nfrom tests.eval.judged import ToyJudge\n\n"
        "JUDGES['toy'] = 'ttom_test_judges:make'\n\n\ndef make(options):\n    return ToyJudge()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(JUDGES, "toy", "")  # so that what the module registers is forgotten again
    path = write_run(tmp_path / "run", cases(2), [clip(0), clip(1)])
    options = [str(path), "--answers", str(tmp_path / "answers"), "--quiet", "--plugin", "ttom_test_judges"]
    assert main([*options, "--judge", "toy"]) == 0
    assert (tmp_path / "answers").is_dir()


def test_an_unknown_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path / "run", cases(1), [clip(0)])
    assert main([str(path), "--judge", "oracle", "--quiet"]) == 2
    assert "--judge is 'oracle'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--judge", "vlm"), "try: --vlm.model NAME"),
        (
            ("--judge", "vlm", "--vlm.model", "m", "--vlm.budget", "1"),
            "--vlm.budget needs the prices --vlm.input-price",
        ),
        (("--judge", "vlm", "--vlm.model", "m", "--vlm.concurrency", "0"), "--vlm.concurrency is 0"),
        (("--judge", "tracks"), "try: --tracks.folder DIR"),
        (("--judge", "emojiworld", "--shard", "5/4"), "--shard is '5/4'"),
    ],
)
def test_messages_name_options(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "run", cases(1), [clip(0)])
    assert main([str(path), *options, "--quiet", "--answers", str(tmp_path / "answers")]) == 2
    assert message in capsys.readouterr().err
