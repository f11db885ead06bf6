"""A run, its answers and a toy metric, to be scored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from eval.judges.cache import AnswerCache
from eval.runs import read_scores
from eval.score import Score, run
from eval.types import Answer, Question, ScoreRow
from tests.eval.cases import case, header, made
from tests.eval.judged import identity_of

ASKED = Question(kind="brightness", text="all")


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def write_run(path: Path, count: int, **changes: Any) -> Path:
    """A run whose videos are a few bytes: scoring reads none."""
    (path / "videos" / "toy").mkdir(parents=True)
    (path / "run.json").write_text(header().model_dump_json())
    rows = []
    for number in range(count):
        one = case(number, **changes)
        (path / "videos" / one.video).write_bytes(b"video")
        rows.append(made(one, b"video", identity=identity_of(one), sha256=sha(number), frames=17, fps=8))
    (path / "manifest.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return path


def answer(
    tmp_path: Path, values: dict[int, Any], judge: str = "toy", version: str = "1", asked: Question = ASKED
) -> None:
    with AnswerCache(tmp_path / "answers", judge, version) as cache:
        for number, value in values.items():
            cache.put(Answer(video_sha256=sha(number), judge=judge, judge_version=version, question=asked, value=value))


def scored(tmp_path: Path, path: Path, **fields: Any) -> dict[str, ScoreRow]:
    run(Score(runs=(path,), answers=tmp_path / "answers", **fields))
    return {row.case_id: row for row in read_scores(path / "scores.jsonl")}
