"""eval.judge: only what is missing is asked, nothing that was answered is lost; a toy metric needs no other change."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from eval.judge import Ask, main, run
from eval.judges import JUDGES
from eval.judges.asking import Tally, ask_all, missing
from eval.judges.cache import AnswerCache
from eval.judges.protocol import Reply, Video, refused
from eval.metrics.registry import Metric, register, unregister
from eval.planned import PlannedCase
from eval.runs import load_run
from eval.types import Case, Question
from tests.eval.cases import case
from tests.eval.judged import ToyJudge, clip, write_run
from ttom.errors import SetupError, UserError
from ttom.identity import layout_digest
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject, save_layout

QUESTIONS = [Question(kind="brightness", text=text) for text in ("all", "left")]


@pytest.fixture(autouse=True)
def toy_metric() -> Iterator[Metric]:
    metric = Metric(
        "brightness",
        applies=lambda subject: subject.case.suite == "toy",
        questions=lambda subject: QUESTIONS,
        score=lambda subject, ask: ask(QUESTIONS[0]) / 255,
    )
    yield register(metric)
    unregister("brightness")


def command(tmp_path: Path, *runs: Path, **fields: object) -> Ask:
    return Ask(runs=runs, judge="emojiworld", answers=tmp_path / "answers", quiet=True, **fields)  # type: ignore[arg-type]


def cases(count: int) -> list[Case]:
    return [case(number) for number in range(count)]


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


def test_an_interrupted_judge_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(4), [clip(i) for i in range(4)])

    class Dying(ToyJudge):
        def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
            for i, reply in enumerate(super().answer(video, questions)):
                if video.path.name == "0002.mp4" and i == 1:
                    raise KeyboardInterrupt
                yield reply

    with pytest.raises(KeyboardInterrupt):
        run(command(tmp_path, path), Dying())
    judge = ToyJudge()
    tally = run(command(tmp_path, path), judge)
    assert tally.kept + tally.answered == 8 and 0 < tally.answered <= 4
    assert ("0002.mp4", "all") not in judge.asked  # answered before the interruption


def test_bad_videos_are_counted_and_the_others_are_judged(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(5), [clip(i) for i in range(5)])
    videos = path / "videos" / "toy"
    (videos / "0001.mp4").unlink()
    (videos / "0002.mp4").write_bytes(b"another video")
    lines = [json.loads(line) for line in (path / "manifest.jsonl").read_text().splitlines()]
    lines[3]["frames"] = 81
    (path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (videos / "notes.txt").write_text("a stray file is none of our business")
    tally = run(command(tmp_path, path), ToyJudge())
    assert tally.unread == {"missing video": 1, "not the recorded video": 1}
    assert tally.refused == {"17 frames instead of 81": 2}
    assert tally.unanswered == 4 and tally.answered == 6
    assert run(command(tmp_path, path), ToyJudge()).kept == 6  # what is lasting is not tried again


def test_several_videos_at_once_and_errors_of_any_of_them(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(8), [clip(i) for i in range(8)])

    class Meeting(ToyJudge):
        """Answers only when two videos are asked about at once."""

        barrier = threading.Barrier(2, timeout=20)

        def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
            self.barrier.wait()
            yield from super().answer(video, questions)

    assert run(command(tmp_path, path), Meeting(workers=2)).answered == 16

    class Broke(ToyJudge):
        def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
            if video.path.name == "0003.mp4":
                raise SetupError("the key is no longer good")
            yield from super().answer(video, questions)

    with pytest.raises(SetupError, match="no longer good"):
        run(command(tmp_path, path), Broke(version="2", workers=2))
    with AnswerCache(tmp_path / "answers", "toy", "2") as cache:
        assert 0 < len(cache) < 16


def test_a_judge_that_answers_nonsense_costs_its_own_questions_alone(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(1), [clip(0)])

    class Odd(ToyJudge):
        def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
            yield Reply(questions[0], refused("too dark to see"))

    tally = run(command(tmp_path, path), Odd())
    assert tally.refused == {"too dark to see": 1} and tally.unanswered == 1


def test_pictures_are_let_go(tmp_path: Path) -> None:
    """However many videos there are, only those in question are in memory."""
    judge, tally = ToyJudge(), Tally()
    runs = [load_run(write_run(tmp_path / "run", cases(3), [clip(i) for i in range(3)]))]
    with AnswerCache(tmp_path / "answers", judge.name, judge.version) as cache:
        jobs = missing(judge, runs, cache, tally)
        ask_all(judge, jobs, cache, tally)
    assert tally.answered == 6 and not any("pictures" in vars(job.video) for job in jobs)


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
    assert "0 questions answered, 1 were answered already" in capsys.readouterr().out
    (tmp_path / "run" / "videos" / "toy" / "0000.mp4").unlink()
    assert main([*base[:-3], "--answers", str(tmp_path / "other")]) == 1
    assert "videos not judged: 1 x missing video" in capsys.readouterr().out


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


def test_a_video_path_that_leads_out_of_the_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", cases(1), [clip(0)])
    line = json.loads((path / "manifest.jsonl").read_text())
    (path / "manifest.jsonl").write_text(json.dumps(line | {"video": "../../../etc/passwd"}) + "\n")
    assert run(command(tmp_path, path), ToyJudge()).answered == 0


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
    assert "judge is 'oracle'" in capsys.readouterr().err
