"""Whose answers are scored: one judge for each kind of question, never a mixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.judges.cache import AnswerCache, versions
from eval.judges.protocol import refusal
from eval.metrics.registry import Ask, Excluded, questions_about
from eval.runs import Run
from eval.types import Question
from ttom.errors import UserError

NOT_JUDGED = "not judged"
"""Why a case is excluded whose question has no answer yet."""


@dataclass(frozen=True)
class Answers:
    """The caches of several judges, and which of them answers each kind of question about a run.

    Attributes:
        judges: For each kind of question the cache of the judge that was chosen.
    """

    judges: dict[str, AnswerCache]

    def asker(self, sha256: str | None) -> Ask:
        """Looks answers about one video up."""

        def ask(question: Question) -> Any:
            cache = self.judges.get(question.kind)
            answer = cache.get(sha256, question) if cache is not None and sha256 is not None else None
            if answer is None:
                raise Excluded(NOT_JUDGED)
            reason = refusal(answer.value)
            if reason is not None:
                raise Excluded(reason)
            return answer.value

        return ask


def open_caches(folder: Path) -> list[AnswerCache]:
    """The answers of every judge in every version."""
    return [AnswerCache(folder, judge, version) for judge, version in versions(folder)]


def choose(run: Run, caches: Sequence[AnswerCache], wanted: Sequence[str] = ()) -> Answers:
    """Find out whose answers to take for each kind of question about a run.

    Args:
        wanted: "JUDGE" or "JUDGE@VERSION", for kinds that several judges have answered.

    Raises:
        UserError: Several judges, or versions of one, have answered a kind of question, and none was chosen, or a
            chosen one has answered nothing.
    """
    counts: dict[str, Counter[int]] = {}
    for row in run.rows.values():
        if row.status != "made" or row.sha256 is None:
            continue
        for question in questions_about(run.subject(row)):
            for i, cache in enumerate(caches):
                if cache.has(row.sha256, question):
                    counts.setdefault(question.kind, Counter())[i] += 1
    unknown = [name for name in wanted if not any(_is(caches[i], name) for found in counts.values() for i in found)]
    if unknown:
        raise UserError(f"{unknown[0]} has answered nothing about {run.path}", expected=_listed(counts, caches))
    chosen = {}
    for kind, found in counts.items():
        named = [i for i in found if any(_is(caches[i], name) for name in wanted)] or list(found)
        if len(named) > 1:
            raise UserError(
                f"several judges have answered questions of the kind {kind!r} about {run.path}",
                expected=f"one of them to be chosen: {_listed({kind: found}, caches)}",
                remedy="`judge=JUDGE` or `judge=JUDGE@VERSION`, whose answers are to be scored",
            )
        chosen[kind] = caches[named[0]]
    return Answers(chosen)


def _is(cache: AnswerCache, name: str) -> bool:
    return name in (cache.judge, f"{cache.judge}@{cache.version}")


def _listed(counts: dict[str, Counter[int]], caches: Sequence[AnswerCache]) -> str:
    totals: Counter[int] = sum(counts.values(), Counter())
    said = [f"{caches[i].judge}@{caches[i].version} ({count} answers)" for i, count in totals.most_common()]
    return ", ".join(said) or "a judge that has answered (none has)"
