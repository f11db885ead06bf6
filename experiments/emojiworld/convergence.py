"""After how many optimizer iterations a loss is reached, from scratch and from what a memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.manifest import CASES, last_rows
from ttom.report import Report
from ttom.statistics import bootstrap_interval

LEVELS = (0.1, 0.03, 0.01)
Losses = dict[str, list[list[float]]]
"""{case id: for each guided step the loss that each iteration saw, before its update}."""


def losses_of(run: Path) -> Losses:
    """The losses of a run's videos."""
    found: Losses = {}
    for row in last_rows(run).values():
        if row.status == "made":
            tto = Report.load(run / CASES / row.case.id / "report.json").tto
            if tto is not None:
                found[row.case.id] = [list(step) for step in tto.losses]
    return found


def iterations_to(losses: Sequence[float], level: float) -> int:
    """Optimizer iterations before the loss is first at most `level`; one more than there are if it never is.

    `losses[i]` is the loss seen by iteration i, after i updates.
    """
    return next((i for i, loss in enumerate(losses) if loss <= level), len(losses) + 1)


def convergence(scratch: Losses, memory: Losses) -> dict[str, Any]:
    """Iterations to fixed losses, and to those that the run from scratch has after each guided step on the same case.

    Args:
        scratch: Losses of the run without a memory.
        memory: Losses of the run that starts from one.

    Returns:
        Means with intervals over the cases that both have.
    """
    shared = sorted(scratch.keys() & memory.keys())
    if not shared:
        return {"n": 0}
    # Of each case both losses, and after how many iterations the steps of the run from scratch ended.
    pairs = [
        ((_flat(scratch[key]), _flat(memory[key])), np.cumsum([len(step) for step in scratch[key]]).tolist())
        for key in shared
    ]
    result: dict[str, Any] = {
        "n": len(pairs),
        "first loss": {
            "scratch": _mean([losses[0][0] for losses, _ in pairs]),
            "memory": _mean([losses[1][0] for losses, _ in pairs]),
        },
    }
    lengths = np.array([[len(one) for one in losses] for losses, _ in pairs])
    for level in LEVELS:
        counts = np.array([[iterations_to(one, level) for one in losses] for losses, _ in pairs])
        result[f"to {level}"] = _both(counts, lengths)
    for step in range(min(len(ends) for _, ends in pairs)):
        counts = np.array(
            [[iterations_to(one, min(losses[0][: ends[step]])) for one in losses] for losses, ends in pairs]
        )
        result[f"to what scratch has after step {step + 1}"] = _both(counts, lengths)
    return result


def _flat(steps: list[list[float]]) -> list[float]:
    return [loss for step in steps for loss in step]


def _both(counts: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    """Of iteration counts ``(cases, 2)``: scratch, memory and their difference.

    A count above the length of its own run, in `lengths` ``(cases, 2)``, is "never".
    """
    never = (counts > lengths).sum(0).tolist()
    return {
        "scratch": _mean(counts[:, 0]) | {"never": never[0]},
        "memory": _mean(counts[:, 1]) | {"never": never[1]},
        "difference": _mean(counts[:, 1] - counts[:, 0]),
    }


def _mean(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    array = np.asarray(values, float)
    return {"mean": round(float(array.mean()), 4), "interval": [round(end, 4) for end in bootstrap_interval(array)]}
