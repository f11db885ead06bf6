"""What the probe of many prompts says: means and intervals, the recommended blocks, and the files that tell of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probes import measures
from ttom.checkpoints.probe_file import VERSION
from ttom.statistics import interval

MEASURES = ("miou", "ap")
RULE = (
    "recommended: the block of the highest mIoU, mean over prompts and the guided steps among those measured; tied: "
    "blocks whose paired difference to it has a 95% bootstrap interval that reaches 0"
)
METHOD = (
    f"a cell is attended to from {measures.THRESHOLD:g} of the way between its frame's minimum and maximum on, and "
    f"belongs to an object that covers {measures.COVERED:g} of its pixels; IoU and average precision are taken per "
    "object and latent frame with a mask, then averaged over frames, objects, prompts"
)


def summarise(
    rows: Sequence[dict[str, Any]], model: str, num_blocks: int, blocks: tuple[int, ...], guided: int
) -> dict[str, Any]:
    """The result of the prompts' rows (see ``probes.run``), of which at least one is measured.

    Args:
        rows: One a prompt.
        model: Name of the model.
        num_blocks: Blocks that it has.
        blocks: Those measured.
        guided: Denoising steps in which TTO would read the maps; if none of them was measured, all that were count.
    """
    measured = [row for row in rows if row["status"] == "measured"]
    steps, timesteps = measured[0]["steps"], measured[0]["timesteps"]
    # (prompts, steps, blocks); a prompt is the mean over its objects
    tables = {name: np.array([_mean_over_objects(row, name) for row in measured]) for name in MEASURES}
    counted = [i for i, step in enumerate(steps) if step < guided] or list(range(len(steps)))
    by_block = {name: table[:, counted].mean(axis=1) for name, table in tables.items()}  # (prompts, blocks)
    miou = by_block["miou"]
    best = int(miou.mean(axis=0).argmax())
    behind = [interval(miou[:, best] - miou[:, i]) for i in range(len(blocks))]
    phrases = [phrase for row in rows for phrase in row.get("phrases", [])]
    found = [phrase for phrase in phrases if phrase["found"]]
    return {
        "version": VERSION,
        "model": model,
        "num_blocks": num_blocks,
        "recommended": [blocks[best]],
        "tied": [block for i, block in enumerate(blocks) if i != best and behind[i][0] <= 0],
        "best_by_ap": blocks[int(by_block["ap"].mean(axis=0).argmax())],
        "rule": RULE,
        "method": METHOD,
        "prompts": {status: sum(row["status"] == status for row in rows) for status in STATUSES},
        "phrases": {"found": len(found), "not found": len(phrases) - len(found)},
        "chance_ap": round(float(np.mean([phrase["share"] for phrase in found])), 4),
        "steps_counted": [steps[i] for i in counted],
        "blocks": [
            {"block": block, **{name: _cell(by_block[name][:, i]) for name in MEASURES}}
            for i, block in enumerate(blocks)
        ],
        "cells": [
            {
                "block": block,
                "step": step,
                "timestep": round(timesteps[s], 3),
                **{name: _cell(tables[name][:, s, i]) for name in MEASURES},
            }
            for i, block in enumerate(blocks)
            for s, step in enumerate(steps)
        ],
    }


STATUSES = ("measured", "nothing found", "refused")
"""What can become of a prompt: at least one object found, none found, or not made at all."""


def _mean_over_objects(row: dict[str, Any], name: str) -> np.ndarray:
    """``(steps, blocks)``"""
    return np.mean([phrase[name] for phrase in row["phrases"] if phrase["found"]], axis=0)


def _cell(values: np.ndarray) -> dict[str, Any]:
    return {"mean": round(float(values.mean()), 4), "interval": interval(values), "n": len(values)}


def write(result: dict[str, Any], folder: Path) -> None:
    """Write probe.json, probe.csv (a line for each block and step) and probe.png."""
    (folder / "probe.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with (folder / "probe.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        columns = [f"{name}{part}" for name in MEASURES for part in ("", "_low", "_high")]
        lines.writerow(["block", "step", "timestep", *columns, "prompts"])
        for cell in result["cells"]:
            numbers = [n for name in MEASURES for n in (cell[name]["mean"], *cell[name]["interval"])]
            lines.writerow([cell["block"], cell["step"], cell["timestep"], *numbers, cell["miou"]["n"]])
    draw(result, folder / "probe.png")


def draw(result: dict[str, Any], path: Path) -> None:
    """Both measures by block: a thin line a step, and the mean over the steps that count with its interval."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = sorted({cell["step"] for cell in result["cells"]})
    colours = colormaps["viridis"](np.linspace(0.9, 0.1, len(steps)))
    blocks = [row["block"] for row in result["blocks"]]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    titles = {"miou": "mIoU, attention thresholded", "ap": "average precision, no threshold"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for step, colour in zip(steps, colours, strict=True):
            cells = [cell for cell in result["cells"] if cell["step"] == step]
            label = f"step {step} (t = {cells[0]['timestep']:.0f})"
            axes.plot(blocks, [cell[name]["mean"] for cell in cells], ".-", color=colour, linewidth=1, label=label)
        mean = [row[name]["mean"] for row in result["blocks"]]
        low, high = zip(*(row[name]["interval"] for row in result["blocks"]), strict=True)
        counted = result["steps_counted"]
        axes.plot(blocks, mean, color="black", linewidth=2, label=f"mean of steps {', '.join(map(str, counted))}")
        axes.fill_between(blocks, low, high, color="black", alpha=0.15, linewidth=0, label="95% interval of that mean")
        if name == "ap":
            axes.axhline(result["chance_ap"], color="grey", linestyle=":", label="chance")
        for block in result["recommended"]:
            axes.axvline(block, color="tab:red", linestyle="--", linewidth=1, label=f"recommended: block {block}")
        axes.set(title=title, xlabel="block", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(
        f"{result['model']}: attention against where objects end up, {result['prompts']['measured']} prompts"
    )
    figure.savefig(path, dpi=110)


def table(result: dict[str, Any]) -> str:
    """A line a block, for the terminal."""
    lines = [f"{'block':>5}  {'mIoU':<22}{'average precision':<22}"]
    for row in result["blocks"]:
        cells = [f"{row[n]['mean']:.3f} [{row[n]['interval'][0]:.3f}, {row[n]['interval'][1]:.3f}]" for n in MEASURES]
        mark = " recommended" if row["block"] in result["recommended"] else ""
        mark = " tied with it" if row["block"] in result["tied"] else mark
        lines.append(f"{row['block']:>5}  {cells[0]:<22}{cells[1]:<22}{mark}".rstrip())
    return "\n".join(lines)
