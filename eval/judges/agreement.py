"""How far two vision language models agree about the same videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eval.judges.cache import AnswerCache
from eval.judges.protocol import refusal
from eval.metrics.agreement import cohen_kappa
from eval.metrics.registry import questions_about
from eval.runs import Run

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Agreement:
    """Of one dialogue: choices that both judges made, the share of equal ones, and Cohen's kappa."""

    dialogue: str
    choices: int
    equal: float
    kappa: float | None


def agreements(runs: Sequence[Run], first: AnswerCache, second: AnswerCache) -> list[Agreement]:
    """The agreement of two judges on each dialogue; an unreadable reply is a choice of its own.

    Only choices that both were asked for count: later turns depend on earlier replies.
    """
    pairs: dict[str, list[tuple[str, str]]] = {}
    seen = set()
    for run in runs:
        for row in run.rows.values():
            if row.status != "made" or row.sha256 is None or row.sha256 in seen:
                continue
            seen.add(row.sha256)
            for question in questions_about(run.subject(row)):
                if question.kind != "dialogue":
                    continue
                answers = [cache.get(row.sha256, question) for cache in (first, second)]
                values = [answer.value for answer in answers if answer is not None and not refusal(answer.value)]
                if len(values) == 2:
                    made = zip(*(list(_choices(value["choices"])) for value in values), strict=False)
                    pairs.setdefault(question.text, []).extend(made)
    return [
        Agreement(name, len(made), sum(a == b for a, b in made) / len(made), cohen_kappa(*zip(*made, strict=True)))
        for name, made in sorted(pairs.items())
        if made
    ]


def _choices(value: Any) -> Iterator[str]:
    """All choices of an answer in order, also in lists by name."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, list):
            yield from _choices(item)
        else:
            yield UNREADABLE if item is None else str(item)
