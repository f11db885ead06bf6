"""The result of all prompts: means and intervals, the recommended blocks, and the files that show them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probes import measures
from probes.records import MEASURES, STATUSES, BlockRow, Mean, Measure, ProbeResult, PromptRow, StepRow
from ttom.statistics import estimate, paired_difference

RULE = (
    "recommended: the block with the highest mIoU, averaged over prompts and over the guided steps among those "
    "measured; tied: blocks whose paired difference to it has a 95% bootstrap interval that reaches 0"
)
METHOD = (
    f"a cell is attended to if its value is at least {measures.THRESHOLD:g} of the way from its frame's minimum to its "
    f"maximum, and belongs to an object that covers at least {measures.COVERED:g} of its pixels; IoU and average "
    "precision are computed per object and latent frame with a mask, then averaged over frames, objects and prompts"
)


def summarize(
    rows: Sequence[PromptRow], model: str, num_blocks: int, blocks: tuple[int, ...], guided: int
) -> ProbeResult:
    """The result of the prompts' rows, of which at least one is measured.

    Args:
        rows: One per prompt.
        model: Name of the model.
        num_blocks: Number of blocks that it has.
        blocks: Those measured.
        guided: Denoising steps in which TTO would read the maps; if none of them was measured, all steps count.
    """
    measured = [row for row in rows if row.status == "measured"]
    steps, timesteps = measured[0].steps, measured[0].timesteps
    # (prompts, steps, blocks); a prompt is the mean over its objects
    tables = {name: np.array([_mean_over_objects(row, name) for row in measured]) for name in MEASURES}
    counted = [i for i, step in enumerate(steps) if step < guided] or list(range(len(steps)))
    by_block = {name: table[:, counted].mean(axis=1) for name, table in tables.items()}  # (prompts, blocks)
    miou = by_block["miou"]
    best = int(miou.mean(axis=0).argmax())
    behind = [paired_difference(miou[:, best], miou[:, i]).low for i in range(len(blocks))]
    phrases = [phrase for row in rows for phrase in row.phrases]
    shares = [phrase.share for phrase in phrases if phrase.found and phrase.share is not None]

    def means(values: dict[Measure, np.ndarray], *index: Any) -> dict[Measure, Mean]:
        return {name: Mean.of(estimate(values[name][(slice(None), *index)])) for name in MEASURES}

    return ProbeResult(
        model=model,
        num_blocks=num_blocks,
        recommended=(blocks[best],),
        tied=tuple(block for i, block in enumerate(blocks) if i != best and behind[i] <= 0),
        best_by_ap=blocks[int(by_block["ap"].mean(axis=0).argmax())],
        rule=RULE,
        method=METHOD,
        prompts={status: sum(row.status == status for row in rows) for status in STATUSES},
        phrases={"found": len(shares), "not found": len(phrases) - len(shares)},
        chance_ap=round(float(np.mean(shares)), 4),
        steps_counted=tuple(steps[i] for i in counted),
        blocks=tuple(BlockRow(block=block, **means(by_block, i)) for i, block in enumerate(blocks)),
        cells=tuple(
            StepRow(block=block, step=step, timestep=round(timesteps[s], 3), **means(tables, s, i))
            for i, block in enumerate(blocks)
            for s, step in enumerate(steps)
        ),
    )


def _mean_over_objects(row: PromptRow, name: Measure) -> np.ndarray:
    """``(steps, blocks)``"""
    return np.mean([phrase.table(name) for phrase in row.phrases if phrase.found], axis=0)


def write(result: ProbeResult, folder: Path) -> None:
    """Write probe.json, probe.csv (a line per block and step) and probe.png."""
    (folder / "probe.json").write_text(as_json(result), encoding="utf-8")
    with (folder / "probe.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        columns = [f"{name}{part}" for name in MEASURES for part in ("", "_low", "_high")]
        lines.writerow(["block", "step", "timestep", *columns, "prompts"])
        for cell in result.cells:
            numbers = [n for name in MEASURES for n in (cell.measure(name).mean, *cell.measure(name).interval)]
            lines.writerow([cell.block, cell.step, cell.timestep, *numbers, cell.miou.n])
    draw(result, folder / "probe.png")


def as_json(result: ProbeResult) -> str:
    """The text of probe.json."""
    return result.model_dump_json(indent=1) + "\n"


def draw(result: ProbeResult, path: Path) -> None:
    """Both measures by block: a thin line per step, and the mean over the steps that count with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = zip(figure.subplots(1, 2), MEASURES, strict=True)
    for axes, name in panels:
        _draw_panel(axes, result, name)
    figure.axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(f"{result.model}: attention maps against object masks, {result.prompts['measured']} prompts")
    figure.savefig(path, dpi=110)


def _draw_panel(axes: Any, result: ProbeResult, name: Measure) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    steps = sorted({cell.step for cell in result.cells})
    colors = colormaps["viridis"](np.linspace(0.9, 0.1, len(steps)))
    blocks = [row.block for row in result.blocks]
    for step, color in zip(steps, colors, strict=True):
        cells = [cell for cell in result.cells if cell.step == step]
        label = f"step {step} (t = {cells[0].timestep:.0f})"
        axes.plot(blocks, [cell.measure(name).mean for cell in cells], ".-", color=color, linewidth=1, label=label)
    found = [row.measure(name) for row in result.blocks]
    low, high = zip(*(mean.interval for mean in found), strict=True)
    label = f"mean of steps {', '.join(map(str, result.steps_counted))}"
    axes.plot(blocks, [mean.mean for mean in found], color="black", linewidth=2, label=label)
    axes.fill_between(blocks, low, high, color="black", alpha=0.15, linewidth=0, label="95% interval of that mean")
    if name == "ap":
        axes.axhline(result.chance_ap, color="gray", linestyle=":", label="chance")
    for block in result.recommended:
        axes.axvline(block, color="tab:red", linestyle="--", linewidth=1, label=f"recommended: block {block}")
    title = {"miou": "mIoU, attention thresholded", "ap": "average precision, no threshold"}[name]
    axes.set(title=title, xlabel="block", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def table(result: ProbeResult) -> str:
    """A line per block, for the terminal."""
    lines = [f"{'block':>5}  {'mIoU':<22}{'average precision':<22}"]
    for row in result.blocks:
        mark = " recommended" if row.block in result.recommended else " tied" if row.block in result.tied else ""
        lines.append(f"{row.block:>5}  {row.miou!s:<22}{row.ap!s:<22}{mark}".rstrip())
    return "\n".join(lines)
