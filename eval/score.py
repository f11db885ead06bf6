"""Score runs by the judges' answers: python -m eval.score RUN...

Needs no model and no GPU. Scores replace the earlier proxy scores of a run; official ones, imported from the toolkits,
stay beside them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from eval.judges.agreement import Agreement, agreements
from eval.judges.cache import AnswerCache
from eval.judges.chosen import NOT_JUDGED, Answers, choose, open_caches
from eval.metrics.registry import Ask, Excluded, Metric, Subject, metrics_for
from eval.runs import Run, load_runs, write_scores
from eval.summary import summarize, table
from eval.types import ManifestRow, ScoreRow
from ttom.cli.exits import exit_code
from ttom.cli.plugins import import_plugins
from ttom.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Score:
    """Turn judges' answers into RUN/scores.jsonl: a row for each case and metric, with the reason if it is excluded."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """Run folders, made by eval.replay."""
    answers: Annotated[Path, arg(metavar="DIR")] = Path("runs/answers")
    """Folder of all judges' answers."""
    judge: tuple[str, ...] = ()
    """Whose answers to take where several judges, or versions of one, have answered: JUDGE or JUDGE@VERSION."""
    arithmetic: Literal["parity", "fixed"] = "parity"
    """parity keeps the quirks of T2V-CompBench's official code, fixed does what its description says."""
    agreement: tuple[str, str] | None = None
    """Two vision language models as JUDGE or JUDGE@VERSION: print how far they agree instead of scoring."""
    plugin: tuple[str, ...] = ()
    """Modules of your own to import first, found on PYTHONPATH: they may register metrics."""
    quiet: FlagCreatePairsOff[bool] = False
    """Print no table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Score. Returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    command = tyro.cli(Score, prog="python -m eval.score", args=None if argv is None else list(argv))

    def work() -> int:
        text = run(command)
        if not command.quiet:
            print(text)
        return 0

    return exit_code("eval.score", work, command=Score)


def run(command: Score) -> str:
    """Score, and return what is to be told.

    Raises:
        UserError: A run cannot be read or written, or judges contradict each other and none was chosen.
    """
    import_plugins(command.plugin)
    runs, caches = load_runs(command.runs), open_caches(command.answers)
    if command.agreement is not None:
        first, second = (_only(caches, name) for name in command.agreement)
        return _agreement_table(agreements(runs, first, second))
    told, not_judged = [], 0
    for one in runs:
        rows = score_run(one, choose(one, caches, command.judge), parity=command.arithmetic == "parity")
        path = write_scores(one, rows, proxy=True)
        told.append(f"{_title(one)}: {path}\n{table(summarize(rows))}")
        not_judged += sum(row.excluded == NOT_JUDGED for row in rows)
    if not_judged:
        judges = ", ".join(dict.fromkeys(cache.judge for cache in caches))
        told.append(
            f"note: {not_judged} scores lack an answer. {command.answers.absolute()} holds "
            f"{f'answers by {judges}' if judges else 'no answers'}; --answers names another folder."
        )
    return "\n\n".join(told)


def score_run(run: Run, answers: Answers, *, parity: bool = True) -> list[ScoreRow]:
    """A row for every case and each of its metrics, by case and metric."""
    scored: list[_Scored] = []
    for row in run.rows.values():
        subject = run.subject(row, parity=parity)
        problem = _problem(run, row)
        ask = answers.asker(row.sha256)
        for metric in metrics_for(subject):
            value, reason = (None, problem) if problem is not None else _score(run, subject, metric, ask)
            scored.append(_Scored(row, metric, value, reason))
    _measure_runs(scored)
    return [one.as_row(run.header.label) for one in scored]


@dataclass
class _Scored:
    """What a metric gave for a case: a value, or the reason why there is none."""

    row: ManifestRow
    metric: Metric
    value: Any
    reason: str | None

    def as_row(self, label: str) -> ScoreRow:
        value, reason, case = self.value, self.reason, self.row.case
        if reason is None and not math.isfinite(value):
            value, reason = None, "not a number"
        return ScoreRow(
            run=label,
            case_id=case.id,
            suite=case.suite,
            category=case.category,
            metric=self.metric.name,
            value=value if value is None else float(value),
            excluded=reason,
            proxy=True,
            binary=self.metric.binary,
        )


def _measure_runs(scored: Sequence[_Scored]) -> None:
    """Turn what metrics of a whole run know about each video into numbers; see `Metric.over_run`."""
    together: dict[str, list[_Scored]] = {}
    for one in scored:
        if one.metric.over_run is not None and one.reason is None:
            together.setdefault(one.metric.name, []).append(one)
    for cases in together.values():
        over_run = cases[0].metric.over_run
        assert over_run is not None
        for one, value in zip(cases, over_run([one.value for one in cases]), strict=True):
            one.value = value


def _score(run: Run, subject: Subject, metric: Metric, ask: Ask) -> tuple[Any, str | None]:
    """The value, or why there is none."""
    try:
        return metric.score(subject, ask), None
    except Excluded as error:
        reason = str(error)
        return None, (_file_problem(run, subject.row) or reason) if reason == NOT_JUDGED else reason


def _problem(run: Run, row: ManifestRow) -> str | None:
    """Why a row has no scores whatever the judges say."""
    if row.status != "made":
        return f"{row.status}: no video"
    return None if run.video(row) is not None else "no video in the manifest"


def _file_problem(run: Run, row: ManifestRow) -> str | None:
    video = run.video(row)
    assert video is not None
    try:
        size = video.path.stat().st_size
    except OSError:
        return "missing video"
    return None if row.bytes in (None, size) else "not the recorded video"


def _only(caches: Sequence[AnswerCache], name: str) -> AnswerCache:
    found = [cache for cache in caches if name in (cache.judge, f"{cache.judge}@{cache.version}")]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} judges are called {name}",
            expected=", ".join(f"{cache.judge}@{cache.version}" for cache in caches) or "a judge that has answered",
        )
    return found[0]


def _title(one: Run) -> str:
    return f"{one.header.label}, {one.header.model} on {one.header.suite}"


def _agreement_table(found: Sequence[Agreement]) -> str:
    if not found:
        raise UserError("the two judges have no answers in common", remedy="ask both about the same runs first")
    lines = [f"{'dialogue':28} choices  equal  kappa"]
    for one in found:
        kappa = "    -" if one.kappa is None else f"{one.kappa:5.2f}"
        lines.append(f"{one.dialogue:28} {one.choices:7}  {one.equal:5.2f}  {kappa}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
