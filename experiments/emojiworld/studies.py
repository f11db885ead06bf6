"""Studies on EmojiWorld: sets of runs of the evaluation harness, see `eval.study`.

    python -m experiments.emojiworld.studies methods --out DIR -- OPTIONS    base and ttom on the held-out prompts
    python -m experiments.emojiworld.studies tune --out DIR -- OPTIONS       one setting at a time, on tuning prompts
    python -m experiments.emojiworld.studies memory --memory M --out DIR -- OPTIONS    what a memory is worth

OPTIONS are those of eval.replay that all runs share, such as `--limit 20 --devices 2`. Interrupted studies go on. The
report is in DIR/report, with a picture of the first cases; what else was found is in DIR/findings.json.

"tune" changes one setting of the preset at a time. A variant may lose 0.02 of base's presence and 0.05 of its right
directions and relations (one of 20 prompts); of those that lose no more, the one with the largest layout mIoU is named.
The preset is then edited by hand. "memory" wants a filled memory (make pseudo-train) and reads it frozen: the adapter
of the 1, 5 or 10 nearest entries alone, and optimization that starts from the nearest one, with all its iterations and
with few. No similarity is too low there, so that 5 and 10 mean 5 and 10.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.arguments import Replay
from eval.arguments import parse as parse_replay
from eval.manifest import last_rows
from eval.report.schema import Report as Comparison
from eval.study import METHODS, Variant, run_study, split_arguments
from experiments.emojiworld.convergence import convergence, losses_of
from experiments.emojiworld.run_picture import draw_runs
from ttom import files
from ttom.cli.exits import exit_code
from ttom.config import Settings
from ttom.errors import UserError

SLACK = {"presence": 0.02, "direction": 0.05, "relation": 0.05}
"""What a variant may lose of each metric against base. A little more for rounding is allowed."""
GRID: dict[str, tuple[Any, ...]] = {
    "tto.blocks": ((2,), (3,), (4,), (5,), (3, 4)),
    "tto.lr": (3e-3, 1e-2, 2e-2),
    "tto.guided_steps": (3, 5, 8),
    "tto.iterations": (2, 4, 8, 12),
    "tto.loss": ("jsd", "bce", "center_of_mass"),
    "tto.stop_loss": (None, 0.03, 0.01),
    "tto.keep_after": (False, True),
    "adapter.rank": (8, 16, 32),
    "sampler.guidance_scale": (2.5, 4.0),
    "tto.downsample": (1, 2),
    "adapter.first_block": (0, 3, 5),
    "sampler.cache_threshold": (None, 0.05, 0.1, 0.2),
}
"""Settings and the values tried, each with all others as in the preset."""
FEW = 2
"""Iterations a guided step of the short runs with a memory."""
FUSED = (5, 10)
FUSIONS = ("average", "similarity", "svd")


def options_of(changes: dict[str, Any]) -> tuple[str, ...]:
    """Options of eval.replay for settings by dotted names."""
    found: list[str] = []
    for name, value in changes.items():
        part, _, key = name.replace("_", "-").partition(".")
        if isinstance(value, bool):
            found.append(f"--{part}.{key}" if value else f"--{part}.no-{key}")
        elif isinstance(value, tuple):
            found += [f"--{part}.{key}", *map(str, value)]
        else:
            found.append(f"--{part}.{key}={value}")
    return tuple(found)


def tuning(settings: Settings, names: Sequence[str]) -> list[Variant]:
    """Base, the preset, and a variant for each value of the named settings that the preset does not have."""
    made = [METHODS[0], Variant("preset")]
    for name in names:
        part, _, key = name.partition(".")
        for value in GRID[name]:
            if getattr(getattr(settings, part), key) == value:
                continue
            if name == "adapter.first_block" and value > min(settings.tto.targets):
                continue  # nothing before the map would be trained
            changes = {name: value}
            if name == "adapter.rank":  # the scale alpha / rank stays as it is, so that the rank alone changes
                changes["adapter.alpha"] = settings.adapter.alpha / settings.adapter.rank * value
            made.append(Variant(f"{name}={value}", options_of(changes)))
    return made


def remembering(memory: Path) -> list[Variant]:
    """What the memory's adapters are worth alone and as a start, beside runs without a memory."""
    read = {"memory.path": str(memory), "memory.threshold": -1.0}
    load, short = {**read, "memory.use": "load"}, {"tto.iterations": FEW}
    variants: dict[str, dict[str, Any]] = {
        "load top-1": load,
        **{f"load top-{k} {how}": {**load, "memory.top_k": k, "memory.fusion": how} for k in FUSED for how in FUSIONS},
        "init + tto": read,
        f"tto, {FEW} iterations": short,
        f"init + tto, {FEW} iterations": {**read, **short},
    }
    return [METHODS[0], Variant("tto"), *(Variant(label, options_of(changes)) for label, changes in variants.items())]


def best(report: Comparison) -> str:
    """The variant to take, by the rule in this module's docstring."""
    means = {(cell.run, cell.metric): cell.mean for cell in report.cells if cell.by == "all" and cell.mean is not None}
    base = report.baseline
    floors = {metric: means[base, metric] - slack - 1e-9 for metric, slack in SLACK.items() if (base, metric) in means}
    labels = [run.label for run in report.runs if run.label != base and (run.label, "layout_miou") in means]
    allowed = [
        label for label in labels if all(means.get((label, metric), 0.0) >= floor for metric, floor in floors.items())
    ]
    return max(allowed, key=lambda label: means[label, "layout_miou"]) if allowed else base


def remembered(out: Path) -> dict[str, Any]:
    """How much sooner a loss is reached from the memory, and how similar its nearest entries were."""
    runs = {variant.label: out / variant.folder for variant in remembering(Path())}
    near = [row.memory_entries for row in last_rows(runs["load top-1"]).values() if row.status == "made"]
    return {
        "convergence": convergence(losses_of(runs["tto"]), losses_of(runs["init + tto"])),
        "cases with an entry": sum(bool(entries) for entries in near),
        "cases": len(near),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study; returns the exit code, see `eval.study.run_study`."""
    own, shared = split_arguments(argv)
    options = _parser().parse_args(own)
    suite = "emojiworld-tune" if options.study == "tune" else "emojiworld"
    shared = ["--suite", suite, *shared]

    def work() -> int:
        variants = _variants(options, parse_replay([*shared, "--out", "-"]))
        code = run_study(options.out, variants, shared, ["emojiworld"])
        if code <= 1:
            _find(options)
        return code

    return exit_code("studies", work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("methods", "tune", "memory"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the runs and the report")
    parser.add_argument("--settings", nargs="+", default=list(GRID), choices=list(GRID), help="settings to tune")
    parser.add_argument("--memory", type=Path, metavar="M", help="folder of the memory")
    return parser


def _variants(options: argparse.Namespace, command: Replay) -> Sequence[Variant]:
    if options.study == "tune":
        return tuning(command.settings, options.settings)
    if options.study == "memory":
        if options.memory is None:
            raise UserError("the study memory needs a memory", expected="its folder", remedy="--memory DIR")
        return remembering(options.memory)
    return METHODS


def _find(options: argparse.Namespace) -> None:
    """What the report does not say."""
    if options.study == "tune":
        report = Comparison.model_validate_json((options.out / "report" / "report.json").read_bytes())
        findings = {"best": best(report)}
        print("best:", findings["best"])
    elif options.study == "memory":
        findings = remembered(options.out)
    else:
        base, ttom = (options.out / variant.folder for variant in METHODS)
        draw_runs(base, ttom, options.out / "report" / "picture.png")
        return
    with files.disk_errors(options.out):
        files.write_json(options.out / "findings.json", findings, indent=1)


if __name__ == "__main__":
    sys.exit(main())
