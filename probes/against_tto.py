"""Does the probe predict the best block? python -m probes.against_tto --out RESULT.json

Test-time optimization with each block alone, everything else as in the preset, on prompts of EmojiWorld's tuning split;
beside it what the probe measured. Rows are written as they are made, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from typing import Any

from scipy.stats import spearmanr

from experiments.emojiworld.evaluate import arguments, provenance, run, summarise
from probes.results import MEASURES
from ttom import TTOM
from ttom.checkpoints.probe_file import places
from ttom.emojiworld.prompts import prompts


def compare(probe: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    """The blocks of both, and how their orders agree.

    Args:
        probe: A probe.json.
        summary: {"block 0": {"layout_miou": cell, "presence": cell, ...}, ...}, see ``evaluate.summarise``.
    """
    rows = []
    for measured in probe["blocks"]:
        found = summary.get(f"block {measured['block']}")
        if found is not None:
            tto = {f"tto_{name}": found[name] for name in ("layout_miou", "presence")}
            rows.append({"block": measured["block"], **{name: measured[name] for name in MEASURES}, **tto})
    by_tto = [row["tto_layout_miou"]["mean"] for row in rows]
    orders = {name: spearmanr([row[name]["mean"] for row in rows], by_tto).statistic for name in MEASURES}
    best = max(rows, key=lambda row: row["tto_layout_miou"]["mean"])["block"]
    return {
        "recommended": probe["recommended"],
        "best_by_ap": probe["best_by_ap"],
        "best_by_tto": best,
        "rank_correlation": {name: round(float(value), 3) for name, value in orders.items()},
        "blocks": rows,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--per-suite", type=int, default=4, help="tuning prompts of each suite")
    options = parser.parse_args()
    probe = json.loads(next(file for file in places(options.model) if file.is_file()).read_text(encoding="utf-8"))
    made_by = provenance(options, TTOM(options.model).settings)  # before the run: the checkout may change meanwhile
    chosen = prompts("tune", options.per_suite)
    variants: dict[str, dict[str, Any]] = {"base": {}}
    variants |= {f"block {row['block']}": {"tto.blocks": (row["block"],)} for row in probe["blocks"]}
    rows_file = options.out.with_suffix(".rows.jsonl")
    rows = run(chosen, variants, rows_file, model=options.model, device=options.device, workers=options.workers)
    summary = summarise(rows)
    result = {**compare(probe, summary), "base": summary["base"], "prompts": len(chosen), "provenance": made_by}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key not in ("base", "provenance")}, indent=1))


if __name__ == "__main__":
    main()
