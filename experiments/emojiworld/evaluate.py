"""Compare methods on held-out prompts: python -m experiments.emojiworld.evaluate --out RESULT.json

Every method gets the same text, layout and seed. A row is written for each video as it is made, so a run that was
stopped goes on where it was; several worker processes share a GPU or the cores. Videos are measured by the world's own
detector. Reported: means with 95% bootstrap intervals over prompts, and paired differences to base.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ttom import TTOM, UserError
from ttom.config import Settings
from ttom.emojiworld import metrics
from ttom.emojiworld.detector import Detector, detect_video, load_detector
from ttom.emojiworld.metrics import flicker, layout_miou
from ttom.emojiworld.prompts import SUITES, Prompt, prompts
from ttom.layout.model import Layout
from ttom.provenance import digest, environment
from ttom.statistics import interval

METRICS = ("layout_miou", "presence", "direction", "relation", "count", "flicker")
PICTURE_PROMPTS = 3  # of each suite, the first ones: not chosen by how they look


def change(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Settings with dotted names changed: {"tto.lr": 1e-3}."""
    by_part: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part, _, key = name.partition(".")
        by_part.setdefault(part, {})[key] = value
    # All at once: a change may be valid only together with another.
    return replace(settings, **{part: replace(getattr(settings, part), **values) for part, values in by_part.items()})


def scores(prompt: Prompt, layout: Layout, video: np.ndarray, frames: metrics.Frames) -> dict[str, float]:
    """All metrics that the prompt's facts allow, each 0..1 (flicker 0..255)."""
    result = {
        "layout_miou": layout_miou(frames, layout),
        "presence": float(np.mean([metrics.presence(frames, noun) for noun in prompt.nouns])),
        "flicker": flicker(video, frames),
    }
    if prompt.directions:
        right = [metrics.direction(frames, noun) == direction for noun, direction in prompt.directions]
        result["direction"] = float(np.mean(right))
    if prompt.relation and prompt.suite == "relation":
        result["relation"] = float(metrics.relation_share(frames, *prompt.relation) >= 0.5)
    if prompt.counts:
        result["count"] = float(metrics.count_exact(frames, prompt.counts))
    return result


def take_gpu(turns: Any) -> None:
    """Start of a worker process: it sees one GPU alone, the next in turn; `turns` is a counter that all share."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    with turns.get_lock():
        turn = turns.value
        turns.value += 1
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[turn % len(gpus)]


@cache
def _model(name: str, device: str) -> tuple[TTOM, Detector]:
    return TTOM.from_pretrained(name, device=device), load_detector("cpu" if device == "auto" else device)


def make_row(
    model: str, device: str, pictures: int, prompt: Prompt, variant: str, changes: dict[str, Any], seed: int
) -> dict:
    """Make one video and measure it; `variant` is "base" or names the changed settings of "ttom".

    The rows of a suite's first `pictures` prompts hold three frames and the layout, to draw.
    """
    torch.set_num_threads(1)
    ttom, detector = _model(model, device)
    settings = change(ttom.settings, changes)
    row: dict[str, Any] = {"id": prompt.id, "suite": prompt.suite, "variant": variant, "seed": seed}
    try:
        layout = ttom.plan(prompt.text, settings)
        method = "base" if variant == "base" else "ttom"
        result = ttom.generate(prompt.text, method=method, seed=seed, layout=layout, settings=settings)
    except UserError as error:
        return row | {"refused": error.problem}
    frames = detect_video(detector, result.video)
    tto, memory = result.report.tto, result.report.memory
    row |= scores(prompt, layout, result.video, frames)
    row |= {"seconds": result.report.seconds.total, "loss_first": tto.loss_first if tto else None}
    row |= {"loss_last": tto.loss_last if tto else None, "prompt": prompt.text}
    row["losses"] = [loss for step in tto.losses for loss in step] if tto else []
    if memory and memory.matches:
        row["similarity"] = memory.matches[0].similarity
    if int(prompt.id[-3:]) < pictures:
        row["frames"] = result.video[[0, 8, 16]].tolist()
        row["layout"] = layout.model_dump(mode="json")
    return row


def run(
    chosen: list[Prompt],
    variants: dict[str, dict[str, Any]],
    rows_file: Path,
    *,
    model: str,
    device: str,
    workers: int,
    pictures: int = 0,
) -> list[dict]:
    """A row for every prompt and variant; rows that the file holds already are not made again.

    The seed of a video is the number of its prompt, so that all variants share it.
    """
    rows_file.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()] if rows_file.exists() else []
    done = {(row["id"], row["variant"]) for row in rows}
    jobs = [
        (prompt, variant, changes, seed)
        for seed, prompt in enumerate(chosen)
        for variant, changes in variants.items()
        if (prompt.id, variant) not in done
    ]
    spawn = get_context("spawn")
    turns = spawn.Value("i", 0)
    with (
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=take_gpu, initargs=(turns,)) as pool,
        rows_file.open("a") as file,
    ):
        waiting = [pool.submit(make_row, model, device, pictures, *job) for job in jobs]
        try:
            for ready in tqdm(as_completed(waiting), total=len(jobs), desc="videos", disable=not sys.stderr.isatty()):
                rows.append(ready.result())
                file.write(json.dumps(rows[-1]) + "\n")
                file.flush()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    wanted = {prompt.id for prompt in chosen}
    return [row for row in rows if row["id"] in wanted and row["variant"] in variants]


def summarise(rows: Iterable[dict], against: str = "base") -> dict:
    """{variant: {metric: mean, interval, n, and the paired difference to `against`}}; refused prompts are counted."""
    rows = list(rows)
    table: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        for metric in METRICS:
            if metric in row:
                table.setdefault(row["variant"], {}).setdefault(metric, {})[row["id"]] = row[metric]
    result: dict[str, Any] = {}
    for variant, by_metric in table.items():
        result[variant] = {"refused": sum("refused" in r for r in rows if r["variant"] == variant)}
        for metric, by_prompt in by_metric.items():
            values = np.array(list(by_prompt.values()))
            cell: dict[str, Any] = {
                "mean": round(float(values.mean()), 4),
                "interval": interval(values),
                "n": len(values),
            }
            other = table.get(against, {}).get(metric, {})
            shared = [key for key in by_prompt if key in other]
            if variant != against and shared:
                gain = np.array([by_prompt[key] - other[key] for key in shared])
                base_mean = float(np.mean([other[key] for key in shared]))
                cell["difference"] = {"mean": round(float(gain.mean()), 4), "interval": interval(gain)}
                if base_mean:
                    cell["difference"]["relative"] = round(float(gain.mean()) / base_mean, 4)
            result[variant][metric] = cell
        times = [row["seconds"] for row in rows if row["variant"] == variant and "seconds" in row]
        result[variant]["seconds_median"] = round(float(np.median(times)), 3)
    return result


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="result JSON; rows go to the same name with .rows.jsonl"
    )
    parser.add_argument("--model", default="emojiworld-wan")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that make videos")
    return parser


def provenance(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    from ttom.checkpoints import EMBEDDED, path

    folder = path(options.model) if options.model in EMBEDDED else Path(options.model)
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    program = sys.modules["__main__"].__spec__  # of tune and others that use this, too
    return {
        **environment(device),
        "command": " ".join(["python -m", program.name if program else sys.argv[0], *sys.argv[1:]]),
        "arguments": {key: str(value) for key, value in vars(options).items()},
        "checkpoint_sha256": digest(folder),
        "seeds": "the number of the prompt, from 0",
        "settings": asdict(settings),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--per-suite", type=int, default=100, help="prompts of each of motion, relation, count")
    parser.add_argument("--split", default="test", choices=("test", "tune"))
    parser.add_argument("--picture", type=Path, default=None, help="PNG of the first prompts, base beside ttom")
    options = parser.parse_args()
    started = time.time()
    made_by = provenance(options, TTOM(options.model).settings)  # before the run: the checkout may change meanwhile
    chosen = prompts(options.split, options.per_suite)
    rows_file = options.out.with_suffix(".rows.jsonl")
    variants: dict[str, dict[str, Any]] = {"base": {}, "ttom": {}}
    rows = run(
        chosen,
        variants,
        rows_file,
        model=options.model,
        device=options.device,
        workers=options.workers,
        pictures=PICTURE_PROMPTS,
    )
    result = {
        "all": summarise(rows),
        **{suite: summarise(row for row in rows if row["suite"] == suite) for suite in SUITES},
        "prompts": len(chosen),
        "minutes": round((time.time() - started) / 60, 2),
        "provenance": made_by,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if options.picture:
        from ttom.emojiworld.picture import draw

        draw(rows, options.picture)
    print(table(result["all"]))


def plain_table(summary: dict) -> str:
    """Plain text: a line for each variant, the mean of each metric."""
    return "\n".join(
        f"{name:28} " + "  ".join(f"{metric} {cell[metric]['mean']:.3f}" for metric in METRICS if metric in cell)
        for name, cell in summary.items()
    )


def table(summary: dict) -> str:
    """Markdown: a row for each metric, a column for each variant, and the paired difference."""
    lines = ["| metric | " + " | ".join(summary) + " | difference to base |", "|---" * (len(summary) + 2) + "|"]
    for metric in METRICS:
        cells, gain = [], ""
        for by_metric in summary.values():
            cell = by_metric.get(metric)
            cells.append(f"{cell['mean']:.3f} [{cell['interval'][0]:.3f}, {cell['interval'][1]:.3f}]" if cell else "")
            if cell and "difference" in cell:
                low, high = cell["difference"]["interval"]
                gain = f"{cell['difference']['mean']:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {metric} (n={cell['n'] if cell else 0}) | " + " | ".join(cells) + f" | {gain} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
