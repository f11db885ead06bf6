"""Ask a judge what is missing about the videos of runs, and keep its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

from eval.judges.cache import AnswerCache
from eval.judges.protocol import Judge, Reply, Video, refusal, refused
from eval.judges.video import VideoError
from eval.metrics.registry import questions_about
from eval.runs import Run
from eval.types import Answer, Question


@dataclass
class Tally:
    """What became of the questions.

    Attributes:
        kept: Questions whose answers were there already.
        answered: Questions that were answered now, refusals included.
        cost: US dollars of these answers, as far as judges know.
        refused: Reasons of answers that the judge could not give, with their numbers.
        unread: Reasons why videos could not be asked about, with their numbers.
        unanswered: Questions that are still open.
    """

    kept: int = 0
    answered: int = 0
    cost: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0


@dataclass(frozen=True)
class Job:
    """The questions about one video that a judge has not answered yet."""

    video: Video
    questions: tuple[Question, ...]


def missing(
    judge: Judge, runs: Sequence[Run], cache: AnswerCache, tally: Tally, shard: tuple[int, int] = (1, 1)
) -> list[Job]:
    """What the judge has still to answer, a job for each different video.

    Args:
        shard: Part I of N, counted from 1: a video belongs to the part that its hash says, whatever the runs.
    """
    jobs: dict[str, tuple[Video, dict[str, Question]]] = {}
    for run in runs:
        for row in run.rows.values():
            video = run.video(row)
            if video is None or not _in_shard(video.sha256, shard):
                continue
            for question in questions_about(run.subject(row)):
                if question.kind not in judge.kinds:
                    continue
                if cache.has(video.sha256, question):
                    tally.kept += 1
                else:
                    jobs.setdefault(video.sha256, (video, {}))[1].setdefault(question.model_dump_json(), question)
    return [Job(video, tuple(questions.values())) for video, questions in jobs.values()]


def ask_all(
    judge: Judge, jobs: Sequence[Job], cache: AnswerCache, tally: Tally, done: Callable[[], None] = lambda: None
) -> None:
    """Ask the judge, several videos at once if it allows, and keep each answer as it comes.

    Args:
        done: Called after each video.

    Raises:
        UserError: The judge cannot go on; what it has answered is kept.
    """
    source = iter(jobs)
    with ThreadPoolExecutor(judge.workers) as pool:
        running: set[Future[list[Reply]]] = set()

        def start(number: int) -> None:
            running.update(pool.submit(_ask, judge, job, cache) for job in islice(source, number))

        start(2 * judge.workers)
        try:
            while running:
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    running.discard(future)
                    _count(future, tally)
                    done()
                    start(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    tally.unanswered = sum(len(job.questions) for job in jobs) - tally.answered


def _ask(judge: Judge, job: Job, cache: AnswerCache) -> list[Reply]:
    """Ask about one video. Nothing of its pictures is kept afterwards.

    Raises:
        VideoError: The video is missing or has been changed; that may be mended, so it is no answer.
    """
    video = Video(job.video.path, job.video.sha256, job.video.frames)
    replies = []
    for reply in _replies(judge, video, job.questions):
        cache.put(
            Answer(
                video_sha256=video.sha256,
                judge=judge.name,
                judge_version=judge.version,
                question=reply.question,
                value=reply.value,
                seconds=round(reply.seconds, 3),
                cost=reply.cost,
            )
        )
        replies.append(Reply(reply.question, reply.value if refusal(reply.value) else None, cost=reply.cost))
    return replies


def _replies(judge: Judge, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
    try:
        yield from judge.answer(video, questions)
    except VideoError as error:
        if not error.lasting:
            raise
        for question in questions:  # the recorded file itself cannot be judged, and never will be
            yield Reply(question, refused(str(error)))


def _count(future: Future[list[Reply]], tally: Tally) -> None:
    try:
        replies = future.result()
    except VideoError as error:
        tally.unread[str(error)] += 1
        return
    for reply in replies:
        tally.answered += 1
        tally.cost += reply.cost or 0.0
        if reason := refusal(reply.value):
            tally.refused[reason] += 1


def _in_shard(sha256: str, shard: tuple[int, int]) -> bool:
    return int(sha256[:8], 16) % shard[1] == shard[0] - 1
