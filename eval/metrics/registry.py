"""Which metrics a case has, what they ask judges, and how answers become scores.

A module of this package calls `register` for its metrics; `metrics_for` finds all modules, so that a new metric is one
new file. A metric says by itself which cases it applies to, usually by the facts that they carry.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from eval.types import Case, ManifestRow, Question
from ttom.layout.model import Layout


class Excluded(Exception):
    """Why a case does not count in a metric's mean; its text is the reason that is counted."""


class Ask(Protocol):
    """Looks up the answer to a question about the case's video."""

    def __call__(self, question: Question) -> Any:
        """The answer's value. Raises Excluded if no judge has answered, or if the judge could not."""
        ...


@dataclass(frozen=True)
class Subject:
    """A video to score.

    Attributes:
        row: The manifest row of the video.
        layout: The layout that the video should follow; None if there is none.
        parity: Keep the quirks of the official code, or compute what its description says.
    """

    row: ManifestRow
    layout: Layout | None = None
    parity: bool = True

    @property
    def case(self) -> Case:
        return self.row.case

    @property
    def frames(self) -> int:
        """Frames of the video. Raises Excluded if the manifest does not say."""
        if not self.row.frames:
            raise Excluded("the manifest has no number of frames")
        return self.row.frames


@dataclass(frozen=True)
class Metric:
    """One number for each video.

    Attributes:
        name: Column in tables.
        applies: Whether a video has this metric, by its case and its layout.
        questions: What judges must answer about a video first.
        score: The number, or what `over_run` needs to know about the video. Raises Excluded where the case does not
            count.
        binary: True for yes/no scores.
        over_run: For a metric of a whole run, such as a distance between distributions: takes what `score` gave for
            each of the videos, and returns a number for each.
    """

    name: str
    applies: Callable[[Subject], bool]
    questions: Callable[[Subject], Sequence[Question]]
    score: Callable[[Subject, Ask], Any]
    binary: bool = False
    over_run: Callable[[Sequence[Any]], Sequence[float]] | None = None


_METRICS: list[Metric] = []


def register(metric: Metric) -> Metric:
    """Add a metric. Another one may have its name, for other cases: "presence" is one column, whoever computes it."""
    _METRICS.append(metric)
    return metric


def unregister(name: str) -> None:
    """Remove all metrics of a name."""
    _METRICS[:] = [metric for metric in _METRICS if metric.name != name]


def metrics_for(subject: Subject) -> list[Metric]:
    """The metrics that apply to a video, in order of registration.

    Raises:
        ValueError: Two of them have one name.
    """
    _import_all()
    chosen = [metric for metric in _METRICS if metric.applies(subject)]
    names = [metric.name for metric in chosen]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two metrics of {subject.case.id!r} are called {twice!r}")
    return chosen


def questions_about(subject: Subject) -> list[Question]:
    """What all metrics of a case ask about its video, equal questions once.

    A metric that excludes the case before any question (a video of too few frames) asks nothing.
    """
    asked: dict[str, Question] = {}
    for metric in metrics_for(subject):
        try:
            for question in metric.questions(subject):
                asked.setdefault(question.model_dump_json(), question)
        except Excluded:
            continue
    return list(asked.values())


@cache
def _import_all() -> None:
    import eval.metrics

    for module in pkgutil.walk_packages(eval.metrics.__path__, "eval.metrics."):
        importlib.import_module(module.name)
