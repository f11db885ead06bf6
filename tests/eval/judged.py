"""A run folder with real videos, and a judge without a model, for tests of judging and scoring."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.judge import Ask
from eval.judges.protocol import Reply, Video
from eval.planned import digest
from eval.types import Case, ManifestRow, Question
from tests.eval.cases import case, header, made
from ttom.video import write_video

FRAMES, FPS = 17, 8


def clip(seed: int, frames: int = FRAMES, height: int = 32, width: int = 48) -> np.ndarray:
    """A dull video, different for each seed."""
    video = np.full((frames, height, width, 3), 40, np.uint8)
    video[:, :, : width // 2] = 20 + 10 * (seed % 20)
    video[:, : height // 2, :, 1] = 3 * (seed // 20) % 200
    return video


def identity_of(one: Case, run: str = "i", layout_hash: str | None = None) -> str:
    """What a row of the run "i" is identified by."""
    return digest([run, one.id, one.prompt, one.seed, layout_hash])


def write_run(path: Path, cases: Sequence[Case], clips: Sequence[np.ndarray | None], **fields: Any) -> Path:
    """A run of these cases; a clip that is None was refused."""
    path.mkdir(parents=True)
    (path / "run.json").write_text(header(**{"suite": cases[0].suite, **fields}).model_dump_json())
    rows = []
    for one, pictures in zip(cases, clips, strict=True):
        if pictures is None:
            rows.append(ManifestRow(identity=identity_of(one), case=one, status="refused", error="no layout"))
            continue
        file = path / "videos" / one.video
        file.parent.mkdir(parents=True, exist_ok=True)
        write_video(pictures, file, FPS)
        data = file.read_bytes()
        changes = {"identity": identity_of(one), "frames": len(pictures), "fps": FPS}
        rows.append(made(one, data, sha256=hashlib.sha256(data).hexdigest(), **changes))
    (path / "manifest.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return path


class ToyJudge:
    """Answers the question "brightness" with the mean pixel; remembers what it was asked."""

    kinds = frozenset({"brightness"})

    def __init__(self, version: str = "1", workers: int = 1) -> None:
        self.name, self.version, self.workers = "toy", version, workers
        self.asked: list[tuple[str, str]] = []

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        mean = float(video.pictures.mean())
        for question in questions:
            self.asked.append((video.path.name, question.text))
            yield Reply(question, mean, seconds=0.5, cost=0.25)


QUESTIONS = [Question(kind="brightness", text=text) for text in ("all", "left")]


def command(tmp_path: Path, *runs: Path, **fields: object) -> Ask:
    return Ask(runs=runs, judge="emojiworld", answers=tmp_path / "answers", quiet=True, **fields)  # type: ignore[arg-type]


def cases(count: int) -> list[Case]:
    return [case(number) for number in range(count)]
