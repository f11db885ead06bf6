"""Asking: several videos at once, interruptions, bad videos and nonsense cost only themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from eval.judge import run
from eval.judges.asking import Tally, ask_all, missing
from eval.judges.cache import AnswerCache
from eval.judges.protocol import Reply, Video, refused
from eval.runs import load_run
from eval.types import Question
from tests.eval.judged import ToyJudge, cases, clip, command, write_run
from ttom.errors import SetupError

pytestmark = pytest.mark.usefixtures("asked_metric")


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
