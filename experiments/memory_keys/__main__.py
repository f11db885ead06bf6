"""Keys by text, by layout and by both, with thresholds calibrated on training captions, on held-out captions.

    python -m experiments.memory_keys --out experiments/memory_keys/results/keys.json

Only texts are encoded: minutes on one core. The memory holds the training captions; the held-out captions have other
nouns, other combinations of them, and other words. Every caption is asked with the layout of the rules planner and with
its boxes moved by up to 0.02 of the picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ttom.backbones import load_backbone
from ttom.cli.calibration_prompts import AMBIGUOUS, composition, examples
from ttom.config import KeyKind
from ttom.emojiworld.prompts import prompts
from ttom.errors import UserError
from ttom.files import write_json
from ttom.layout.rules.planner import plan
from ttom.memory.calibration import Example, calibrate, jittered, nearest
from ttom.memory.embedders import load_embedder
from ttom.memory.key_maker import KeyMaker
from ttom.memory.query import Query
from ttom.presets import emojiworld
from ttom.provenance import environment

SHARES = (0.2, 0.5, 0.8)
PER_SUITE = 100


def held_out() -> list[Example]:
    """Captions of the test split that the rules can plan; without those of `AMBIGUOUS`."""
    settings, made = emojiworld(), []
    for prompt in prompts("test", PER_SUITE):
        sides = (prompt.relation[2],) if prompt.relation is not None else ()
        asked = composition(prompt.directions, sides, prompt.counts)
        if asked[2] == AMBIGUOUS[1:]:
            continue
        try:
            layout = plan(prompt.text, aspect=settings.sampler.aspect, seed=settings.planner.seed)
        except UserError:
            continue
        made.append(Example(Query(prompt.text, layout), asked))
    return made


def measured(keys: KeyMaker, stored: list[Example], asked: list[Example]) -> dict[str, Any]:
    """The calibrated threshold, and what held-out prompts find with it."""
    calibration, dice = calibrate(keys, stored), np.random.default_rng(1)
    vectors = np.stack([keys.of(example.query) for example in stored])
    compositions = [example.composition for example in stored]
    row: dict[str, Any] = {"keys": keys.kind, "dimension": keys.dimension, "threshold": calibration.threshold}
    row |= {"tuning": {"found": calibration.found, "wrong": calibration.wrong, "prompts": calibration.prompts}}
    for name, move in (("planned", False), ("moved", True)):
        queries = [Query(e.query.prompt, jittered(e.query.layout, dice)) if move else e.query for e in asked]
        found = nearest(
            np.stack([keys.of(query) for query in queries]), vectors, [e.composition for e in asked], compositions
        )
        best = np.maximum(found.same, found.other) >= calibration.threshold
        row[name] = {
            "prompts": len(asked),
            "with_their_composition_in_the_memory": int(np.isfinite(found.same).sum()),
            "found": round(found.found(calibration.threshold), 4),
            "wrong_hits": round(float((best & (found.other > found.same)).mean()), 4),
            "wrong_without_their_own": round(found.wrong(calibration.threshold), 4),
            "top1_of_the_same": round(found.found(-1.0), 4),
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="emojiworld-wan")
    options = parser.parse_args()
    embedder = load_embedder("backbone", load_backbone(options.model, device="cpu"))
    stored, asked = examples(), held_out()
    kinds: list[tuple[KeyKind, float]] = [("text", 0.5), ("layout", 0.5), *(("both", share) for share in SHARES)]
    rows = []
    for kind, share in kinds:
        row = measured(KeyMaker(embedder, kind, share), stored, asked)
        rows.append(row | ({"layout_share": share} if kind == "both" else {}))
        print(json.dumps(rows[-1]))
    result = {"model": options.model, "embedder": embedder.identity, "stored": len(stored), "rows": rows}
    result |= {"provenance": environment("cpu")}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, result, indent=1)


if __name__ == "__main__":
    main()
