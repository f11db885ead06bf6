"""Does the probe predict the best block? python -m probes.against_tto --out RESULT.json

Test-time optimization with each block alone, everything else as in the preset, on prompts of EmojiWorld's tuning split,
compared with what the probe measured. Rows are written as videos are generated, so an interrupted run resumes. A row is
identified by the model's weights, the settings, the prompt and its seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError
from scipy.stats import spearmanr

from probes.records import MEASURES, Mean, ProbeResult, Record
from ttom import TTOM, UserError, checkpoints
from ttom.checkpoints.probe_file import places
from ttom.config import Settings
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import Detector, detect_video, load_detector
from ttom.emojiworld.prompts import Prompt, prompts
from ttom.provenance import digest, environment
from ttom.statistics import estimate


class Row(Record):
    """One video: of which block's optimization (None: no optimization), and what was measured or why it was refused."""

    identity: str
    prompt: str
    seed: int
    block: int | None
    layout_miou: float | None = None
    presence: float | None = None
    refused: str | None = None


class Scores(Record):
    """Means over the prompts that were not refused."""

    layout_miou: Mean
    presence: Mean


class Compared(Record):
    """A block: the probe's measures, and the scores of optimizing on it alone."""

    block: int
    miou: Mean
    ap: Mean
    tto: Scores


class Comparison(Record):
    """The probe's order of blocks against that of test-time optimization.

    Attributes:
        best_by_tto: The block whose optimization gives the highest layout mIoU.
        rank_correlation: Spearman's, of each of the probe's measures with that layout mIoU.
    """

    recommended: tuple[int, ...]
    best_by_ap: int
    best_by_tto: int
    rank_correlation: dict[str, float]
    blocks: tuple[Compared, ...]


def compare(probe: ProbeResult, by_block: dict[int, Scores]) -> Comparison:
    """Compare the blocks that both measured."""
    rows = [
        Compared(block=row.block, miou=row.miou, ap=row.ap, tto=by_block[row.block])
        for row in probe.blocks
        if row.block in by_block
    ]
    by_tto = [row.tto.layout_miou.mean for row in rows]
    measured = {"miou": [row.miou.mean for row in rows], "ap": [row.ap.mean for row in rows]}
    return Comparison(
        recommended=probe.recommended,
        best_by_ap=probe.best_by_ap,
        best_by_tto=max(rows, key=lambda row: row.tto.layout_miou.mean).block,
        rank_correlation={name: round(float(spearmanr(measured[name], by_tto).statistic), 3) for name in MEASURES},
        blocks=tuple(rows),
    )


@dataclass(frozen=True)
class Job:
    """One video to generate: a prompt, the block to optimize on (None: no optimization), and the settings of it all."""

    prompt: Prompt
    block: int | None
    preset: Settings

    @property
    def method(self) -> Literal["base", "ttom"]:
        """By the names of `ttom generate`."""
        return "base" if self.block is None else "ttom"

    @property
    def settings(self) -> Settings:
        """The preset with the block as the only target."""
        tto = self.preset.tto
        return self.preset if self.block is None else replace(self.preset, tto=replace(tto, blocks=(self.block,)))

    def identity(self, weights: str) -> str:
        """16 digits that change with the weights, the method, the settings, the prompt or its seed."""
        parts = [weights, self.method, asdict(self.settings), self.prompt.text, self.prompt.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def make_row(ttom: TTOM, detector: Detector, job: Job, identity: str) -> Row:
    """Generate one video and measure it."""
    prompt, settings = job.prompt, job.settings
    row = Row(identity=identity, prompt=prompt.text, seed=prompt.seed, block=job.block)
    try:
        layout = ttom.plan(prompt.text, settings)
        result = ttom.generate(prompt.text, method=job.method, seed=prompt.seed, layout=layout, settings=settings)
    except UserError as error:
        return row.model_copy(update={"refused": error.problem})
    frames = detect_video(detector, result.video)
    presence = float(np.mean([metrics.presence(frames, noun) for noun in prompt.nouns]))
    return row.model_copy(update={"layout_miou": metrics.layout_miou(frames, layout), "presence": presence})


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file; a line that an interruption cut short is skipped."""
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            yield Row.model_validate_json(line)
        except ValidationError:
            continue


def scores(rows: list[Row]) -> Scores:
    """Means over the rows that were not refused."""
    made = [row for row in rows if row.refused is None]
    return Scores(
        layout_miou=Mean.of(estimate([row.layout_miou or 0.0 for row in made])),
        presence=Mean.of(estimate([row.presence or 0.0 for row in made])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="result JSON; rows go to the same name with .rows.jsonl"
    )
    parser.add_argument("--model", default="emojiworld-wan", choices=checkpoints.EMBEDDED)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--per-suite", type=int, default=4, help="tuning prompts of each suite")
    options = parser.parse_args()
    file = next(place for place in places(options.model) if place.is_file())
    probe = ProbeResult.model_validate_json(file.read_bytes())
    ttom, weights = TTOM.from_pretrained(options.model, device=options.device), digest(checkpoints.path(options.model))
    made_by = environment(ttom.load().device)  # now: the checkout may change later
    detector, rows_file = load_detector(), options.out.with_suffix(".rows.jsonl")
    rows_file.parent.mkdir(parents=True, exist_ok=True)
    known = {row.identity: row for row in read_rows(rows_file)}
    by_block: dict[int | None, list[Row]] = {}
    for prompt in prompts("tune", options.per_suite):
        for block in (None, *(row.block for row in probe.blocks)):
            job = Job(prompt, block, ttom.settings)
            key = job.identity(weights)
            if key not in known:
                known[key] = make_row(ttom, detector, job, key)
                with rows_file.open("a", encoding="utf-8") as out:
                    out.write(known[key].model_dump_json() + "\n")
            by_block.setdefault(block, []).append(known[key])
    comparison = compare(probe, {block: scores(rows) for block, rows in by_block.items() if block is not None})
    made_by |= {"command": " ".join(["python -m probes.against_tto", *sys.argv[1:]]), "checkpoint_sha256": weights}
    result: dict[str, Any] = comparison.model_dump(mode="json")
    result |= {"base": scores(by_block[None]).model_dump(mode="json"), "provenance": made_by}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(comparison.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
