"""Choose the emojiworld preset on the tuning prompts: python -m experiments.emojiworld.tune --out RESULT.json

Changes one setting at a time from the preset as it stands, on prompts that no test prompt shares a combination with.
The test split is never read here. A variant may lose 0.02 of base's presence and 0.05 of its right directions and
relations (one of 20 prompts); of those that lose no more, the one with the largest layout mIoU is named. The preset is
then edited by hand.
"""

from __future__ import annotations

import json
from typing import Any

from experiments.emojiworld.evaluate import arguments, plain_table, provenance, run, summarise
from ttom import TTOM
from ttom.config import Settings
from ttom.emojiworld.prompts import prompts

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


def variants(settings: Settings, names: list[str]) -> dict[str, dict[str, Any]]:
    """{label: changes}; "base" and "preset" first. A value that the preset has already is not made twice."""
    made: dict[str, dict[str, Any]] = {"base": {}, "preset": {}}
    for name in names:
        part, _, key = name.partition(".")
        for value in GRID[name]:
            if getattr(getattr(settings, part), key) == value:
                continue
            if name == "adapter.first_block" and value > min(settings.tto.targets):
                continue  # nothing before the map would be trained
            made[f"{name}={value}"] = {name: value}
            if name == "adapter.rank":  # the scale alpha / rank stays as it is, so that the rank alone changes
                made[f"{name}={value}"]["adapter.alpha"] = settings.adapter.alpha / settings.adapter.rank * value
    return made


def best(summary: dict) -> str:
    """The variant to take, by the rule in this module's docstring."""
    base = summary["base"]
    floors = {metric: base[metric]["mean"] - slack - 1e-9 for metric, slack in SLACK.items() if metric in base}
    allowed = [
        name
        for name, cell in summary.items()
        if name != "base" and all(cell[metric]["mean"] >= floor for metric, floor in floors.items())
    ]
    return max(allowed, key=lambda name: summary[name]["layout_miou"]["mean"]) if allowed else "base"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--per-suite", type=int, default=20, help="tuning prompts of each suite")
    parser.add_argument("--settings", nargs="+", default=list(GRID), choices=list(GRID), help="settings to vary")
    options = parser.parse_args()
    settings = TTOM(options.model).settings
    made_by = provenance(options, settings)  # before the run: the checkout may change meanwhile
    chosen = prompts("tune", options.per_suite)
    rows_file = options.out.with_suffix(".rows.jsonl")
    made = variants(settings, options.settings)
    rows = run(chosen, made, rows_file, model=options.model, device=options.device, workers=options.workers)
    summary = summarise(rows)
    result = {
        "best": best(summary),
        "variants": summary,
        "prompts": len(chosen),
        "provenance": made_by,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(plain_table(summary))
    print("best:", result["best"])


if __name__ == "__main__":
    main()
