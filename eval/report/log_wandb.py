"""Runs logged to Weights & Biases: settings, means, a table of cases, and videos.

Without an API key the run is kept offline, in the report's folder, and can be sent later with ``wandb sync``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.report.runs import Column, ReportRun
from eval.report.schema import Report, RunSummary
from ttom.errors import UserError

VIDEOS = 50
"""Videos that a run's table shows: the first ones in the order of the suite."""


def log_runs(report: Report, runs: Sequence[ReportRun], project: str, folder: Path) -> Iterator[str]:
    """Log each run to a W&B run of its own; yields where it lies. Logging a run again replaces it.

    Raises:
        UserError: wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError("wandb is not installed", remedy="install ttom[wandb], or leave out the project") from error
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if _has_key(wandb) else "offline")
    for run, summary in zip(runs, report.runs, strict=True):
        logged = wandb.init(
            project=project,
            id=re.sub(r"[^A-Za-z0-9_-]", "-", run.header.identity)[:64],
            name=run.label,
            group=f"{report.suite} {report.suite_revision}",
            job_type="eval",
            config=_config(summary),
            dir=folder,
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(console="off", silent=True),
        )
        try:
            logged.summary.update(_means(report, run.label, summary))
            videos = _videos(wandb, run)
            # First by themselves: an offline run keeps no files that only its tables name.
            logged.log({"videos": list(videos.values())} if videos else {})
            logged.log({"cases": _cases(wandb, run, videos), "scores": _scores(wandb, report, run.label)})
        finally:
            logged.finish()
        yield logged.url if mode == "online" and logged.url else str(Path(logged.dir).parent)


def _config(summary: RunSummary) -> dict[str, Any]:
    names = "method model model_digest settings_hash identity memory_digest streaming settings provenance".split()
    return {name: getattr(summary, name) for name in names}


def _means(report: Report, label: str, summary: RunSummary) -> dict[str, float]:
    found: dict[str, float] = {"made": summary.made, "refused": summary.refused, "failed": summary.failed}
    if summary.seconds is not None:
        found["seconds"] = summary.seconds
    if summary.peak_bytes is not None:
        found["peak_gib"] = summary.peak_bytes / 2**30
    for cell in report.cells:
        if cell.run == label and cell.by == "all" and cell.mean is not None:
            found[f"{'proxy' if cell.proxy else 'official'}/{cell.metric}"] = cell.mean
    return found


def _scores(wandb: Any, report: Report, label: str) -> Any:
    columns = ["metric", "judge", "by", "group", "mean", "low", "high", "n", "cases", "difference"]
    rows = [
        [c.metric, "proxy" if c.proxy else "official", c.by, c.group, c.mean, c.low, c.high, c.n, c.cases]
        + [c.difference.mean if c.difference else None]
        for c in report.cells
        if c.run == label
    ]
    return wandb.Table(columns=columns, data=rows)


def _has_key(wandb: Any) -> bool:
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except (wandb.Error, OSError):
        return False


def _videos(wandb: Any, run: ReportRun) -> dict[str, Any]:
    """The first videos, by case id."""
    found = {}
    for case_id, row in run.rows.items():
        path = run.video(row)
        if path is not None:
            found[case_id] = wandb.Video(str(path), caption=row.case.prompt, format="mp4")
            if len(found) == VIDEOS:
                break
    return found


def _cases(wandb: Any, run: ReportRun, videos: Mapping[str, Any]) -> Any:
    columns: list[Column] = sorted(run.scores, key=lambda c: (c.proxy, c.metric))
    names = [f"{c.metric} ({'proxy' if c.proxy else 'official'})" for c in columns]
    table = wandb.Table(columns=["case", "category", "prompt", "seed", "status", "seconds", "video", *names])
    for case_id, row in run.rows.items():
        scores = [run.scores[column].get(case_id) for column in columns]
        values = [score.value if score and score.excluded is None else None for score in scores]
        head = [case_id, row.case.category, row.case.prompt, row.case.seed, row.status, row.seconds.get("total")]
        table.add_data(*head, videos.get(case_id), *values)
    return table
