"""Does a memory help? python -m experiments.emojiworld.memory_gain --memory DIR --out RESULT.json

Fills the memory with generated prompts of the training split (see `pseudo_train`; what is there already stays), then
makes held-out prompts with the memory frozen: base; TTO without memory; the memory's adapter alone, fused of the 1, 5
or 10 nearest entries in each way; and TTO that starts from the nearest entry, with all its iterations and with few.
Text, layout and seed are the same everywhere. No similarity is too low here, so that 5 and 10 mean 5 and 10; results
for the prompts with a match above the usual threshold are given beside.

Convergence: the iterations after which a loss is first reached, for fixed losses and for those that the run without
memory has reached after so many iterations on the same prompt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.emojiworld.evaluate import arguments, plain_table, provenance, run, summarise
from experiments.emojiworld.pseudo_train import fill, memory_settings, training_prompts
from ttom import TTOM
from ttom.config import MemoryConfig
from ttom.emojiworld.prompts import SUITES, prompts
from ttom.parallel import Devices
from ttom.statistics import interval

FEW = 2
"""Iterations a guided step of the short runs."""
FUSED = (5, 10)
FUSIONS = ("average", "similarity", "svd")
LOSSES = (0.1, 0.03, 0.01)


def variants(memory: Path) -> dict[str, dict[str, Any]]:
    """{label: changes of settings}; all read the memory frozen."""
    read = {"memory.path": str(memory), "memory.mode": "read", "memory.threshold": -1.0}
    load = {**read, "memory.use": "load"}
    short = {"tto.iterations": FEW}
    return {
        "base": {},
        "tto": {},
        "load top-1": load,
        **{f"load top-{k} {how}": {**load, "memory.top_k": k, "memory.fusion": how} for k in FUSED for how in FUSIONS},
        "init + tto": read,
        f"tto, {FEW} iterations": short,
        f"init + tto, {FEW} iterations": {**read, **short},
    }


def iterations_to(losses: Sequence[float], level: float) -> int:
    """Optimiser iterations before the loss is first at most `level`; one more than there are if it never is.

    `losses[i]` is the loss seen by iteration i, after i updates.
    """
    return next((i for i, loss in enumerate(losses) if loss <= level), len(losses) + 1)


def convergence(rows: list[dict], iterations: int) -> dict[str, Any]:
    """Iterations to a loss from scratch and from memory, means over the prompts that have both, with intervals."""
    losses = {
        name: {row["id"]: row["losses"] for row in rows if row["variant"] == name and "losses" in row}
        for name in ("tto", "init + tto")
    }
    shared = sorted(losses["tto"].keys() & losses["init + tto"].keys())
    pairs = [(losses["tto"][key], losses["init + tto"][key]) for key in shared]
    result: dict[str, Any] = {
        "n": len(pairs),
        "first loss": {
            "scratch": _mean([scratch[0] for scratch, _ in pairs]),
            "memory": _mean([memory[0] for _, memory in pairs]),
        },
    }
    for level in LOSSES:
        counts = np.array([[iterations_to(one, level) for one in pair] for pair in pairs])
        result[f"to {level}"] = _both(counts, len(pairs[0][0]) if pairs else 0)
    for after in range(iterations, len(pairs[0][0]) + 1, iterations) if pairs else ():
        levels = [min(scratch[:after]) for scratch, _ in pairs]
        counts = np.array(
            [[iterations_to(one, level) for one in pair] for pair, level in zip(pairs, levels, strict=True)]
        )
        result[f"to what scratch has after {after}"] = _both(counts, len(pairs[0][0]))
    return result


def _both(counts: np.ndarray, last: int) -> dict[str, Any]:
    """Of iteration counts ``(prompts, 2)``: scratch, memory and their difference; counts above `last` are "never"."""
    if not len(counts):
        return {}
    gain = counts[:, 1] - counts[:, 0]
    return {
        "scratch": _mean(counts[:, 0]) | {"never": int((counts[:, 0] > last).sum())},
        "memory": _mean(counts[:, 1]) | {"never": int((counts[:, 1] > last).sum())},
        "difference": _mean(gain),
    }


def _mean(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    array = np.asarray(values, float)
    return {"mean": round(float(array.mean()), 4), "interval": interval(array)} if len(array) else {}


def similarities(rows: list[dict]) -> dict[str, float]:
    """{prompt id: similarity of the nearest entry}."""
    return {row["id"]: row["similarity"] for row in rows if row["variant"] == "load top-1" and "similarity" in row}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="folder of the memory")
    parser.add_argument("--count", type=int, default=240, help="entries to fill it with")
    parser.add_argument("--per-suite", type=int, default=60, help="held-out prompts of each of motion, relation, count")
    options = parser.parse_args()
    settings = TTOM(options.model).settings
    made_by = provenance(options, settings)  # before the run: the checkout may change meanwhile
    started = time.time()
    fill(
        training_prompts(options.count),
        memory_settings(settings, options.memory),
        model=options.model,
        devices=Devices(options.workers, device=options.device),
    )
    filled = time.time()
    chosen = prompts("test", options.per_suite)
    rows = run(
        chosen,
        variants(options.memory),
        options.out.with_suffix(".rows.jsonl"),
        model=options.model,
        device=options.device,
        workers=options.workers,
    )
    near, threshold = similarities(rows), MemoryConfig().threshold
    hits = {key for key, similarity in near.items() if similarity >= threshold}
    result = {
        "all": summarise(rows),
        "against tto": summarise(rows, against="tto"),
        **{suite: summarise(row for row in rows if row["suite"] == suite) for suite in SUITES},
        f"similarity of at least {threshold}": summarise(row for row in rows if row["id"] in hits),
        "convergence": convergence(rows, settings.tto.iterations),
        "similarity of the nearest entry": {
            "mean": round(float(np.mean(list(near.values()))), 4),
            "least": round(min(near.values()), 4),
            f"share of at least {threshold}": round(len(hits) / len(near), 4),
        },
        "entries": options.count,
        "prompts": len(chosen),
        "minutes": {"fill": round((filled - started) / 60, 2), "videos": round((time.time() - filled) / 60, 2)},
        "provenance": made_by,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(plain_table(result["all"]))


if __name__ == "__main__":
    main()
