"""Time and memory at real size: python -m experiments.bench.real_size --out experiments/bench/results/real_size.json

Runs the published transformers with random weights, in bfloat16 and at their official sizes, through the project's
sampler and LightningModule. A few steps and iterations are measured; the cost of a whole run of 50 steps and 40
iterations is computed from them. The file is written after each row, with a Markdown table beside it; a second call
measures the rows that are missing or have failed. Afterwards, --floors adds a floor to each figure: the counted
operations of the same work over the rate of a large matrix product in the same number format, from the same call.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from experiments.bench.generate import matmul_rate
from experiments.bench.real_cases import CASES, Case
from experiments.bench.real_measure import (
    free_memory,
    masks_for,
    measure_bare,
    measure_decode,
    measure_fit,
    measure_pipeline,
    measure_steps,
)
from experiments.bench.real_models import MODELS, Model, build, operations, text_embedding
from experiments.bench.real_table import phase_of, table
from ttom.backbones import Backbone
from ttom.backbones.runtime import prepare
from ttom.config import RuntimeConfig
from ttom.provenance import device_name, environment
from ttom.types import TextEmbeddings


def measure(case: Case, model: Model, backbone: Backbone, runs: int) -> dict[str, Any]:
    """Seconds and peak memory of a case's phases."""
    settings, device = case.resolved(model), backbone.device
    if case.measure == "pipeline":
        with tempfile.TemporaryDirectory() as folder:
            return measure_pipeline(backbone, settings, RuntimeConfig(**case.runtime), Path(folder) / "memory")
    latents = backbone.initial_latents(model.size, 0)
    if case.measure == "decode":
        return measure_decode(backbone, latents, runs)
    text = TextEmbeddings(*(text_embedding(model, device, backbone.dtype, seed) for seed in (0, 1)))
    if case.measure == "step":
        return measure_steps(backbone, latents, text, settings, runs)
    masks = masks_for(backbone.token_grid(model.size).reduced(settings.tto.downsample), device)
    iterations = measure_fit if case.measure == "fit" else measure_bare
    return iterations(backbone, latents, text, masks, settings, runs)


def limit_memory(device: torch.device, gib: float | None) -> None:
    """Limit torch's allocator on the GPU; None for no limit."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        fraction = 1.0 if gib is None else min(1.0, gib * 2**30 / total)
        torch.cuda.set_per_process_memory_fraction(fraction, device.index)  # a device without an index is refused


def row(name: str, model: Model, device: torch.device, runs: int) -> dict[str, Any]:
    """Build the model and measure one case; a failure is a result too, and the next row follows."""
    case, started = CASES[name], time.perf_counter()
    found: dict[str, Any] = {"case": name, "settings": case.settings, "runtime": case.runtime}
    found |= {"limit_gib": case.limit_gib, "blocks": list(case.resolved(model).tto.targets)}
    backbone: Backbone | None = None
    try:
        backbone = build(model, str(device), torch.bfloat16, text_encoder=case.measure == "pipeline")
        prepare(backbone, device, RuntimeConfig(**case.runtime))
        found["weights_gib"] = round(sum(p.nbytes for p in backbone.transformer.parameters()) / 2**30, 2)
        found["built_seconds"] = round(time.perf_counter() - started, 2)
        free_memory(device)
        limit_memory(device, case.limit_gib)
        found |= measure(case, model, backbone, runs)
    except Exception as error:
        traceback.print_exc()
        found["failed"] = f"{type(error).__name__}: {shorten(str(error), 200)}"
    finally:
        limit_memory(device, None)
        backbone = None
        if case.runtime.get("compile"):
            torch._dynamo.reset()
        free_memory(device)
    return found | {"wall_seconds": round(time.perf_counter() - started, 2)}


def add_floors(result: dict[str, Any], tiny: bool) -> None:
    """Add to each row the operations of its work, and the seconds that they take at the rate of its call.

    Rows that have a floor keep it, since newer code may do less. Rows with a cache get none, since they skip part of
    the work; nor do rows that only decode, since the VAE's operations are not counted.
    """
    for found in result["rows"]:
        case = CASES[found["case"]]
        if {"failed", "floor"} & found.keys() or "sampler.cache_threshold" in case.settings or case.measure == "decode":
            continue
        model = MODELS[found["model"]].small() if tiny else MODELS[found["model"]]
        settings = replace(case.resolved(model), sampler=model.settings.sampler)
        counted = operations(model, settings)[phase_of(found)]
        rate = result["calls"][found["call"]]["matmul_operations_per_second"]
        found["floor"] = {"operations": counted, "seconds": round(counted / rate, 6)}


def write(result: dict[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    out.with_suffix(".md").write_text(table(result))


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options, and the existing content of the file; exits with a message if they are incompatible."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; a Markdown table is written beside it")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="all by default")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help="all by default: %(choices)s"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time after which no row is started")
    parser.add_argument("--runs", type=int, default=3, help="steps or iterations to time in each row")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...; cpu with --tiny")
    parser.add_argument("--tiny", action="store_true", help="small parts of the same classes, to test it on a CPU")
    parser.add_argument("--floors", action="store_true", help="only add the floors, without measuring (no GPU needed)")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}; expected at least 1")
    result: dict[str, Any] = {"calls": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text())
    elif options.floors:
        parser.error(f"--floors adds to existing rows, but there is no {options.out}")
    if any(call["arguments"]["tiny"] != str(options.tiny) for call in result["calls"]):
        parser.error(f"{options.out} has rows of the other size; use a separate file for --tiny")
    if options.floors:
        return options, result
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device is {options.device}, but there is no CUDA GPU; to test it: --tiny --device cpu")
    here = device_name(options.device)
    others = {call["device_name"] for call in result["calls"]} - {here}
    if others:
        parser.error(
            f"{options.out} has rows of {', '.join(others)}, but this is {here}; use a separate file for each device"
        )
    return options, result


def main(arguments: list[str] | None = None) -> None:
    options, result = parse(arguments)
    if options.floors:
        add_floors(result, options.tiny)
        write(result, options.out)
        return
    end, device = time.monotonic() + 60 * options.minutes, torch.device(options.device)
    done = {(known["model"], known["case"]) for known in result["rows"] if "failed" not in known}
    wanted = [(name, case) for name in options.models for case in options.cases]
    wanted = [(n, c) for n, c in wanted if (n, c) not in done and (not CASES[c].only or n in CASES[c].only)]
    if wanted:
        rate = matmul_rate(64 if options.tiny else 8192, 1.0, options.device, torch.bfloat16)
        given = {key: str(value) for key, value in vars(options).items()}
        call = environment(device) | {"matmul_operations_per_second": round(rate), "arguments": given}
        result["calls"].append(call)
    for name, case in wanted:
        if time.monotonic() > end:
            print(f"{name} {case}: no time left", flush=True)
            continue
        model = MODELS[name].small() if options.tiny else MODELS[name]
        found = {"model": name, "call": len(result["calls"]) - 1} | row(case, model, device, options.runs)
        result["rows"] = [r for r in result["rows"] if (r["model"], r["case"]) != (name, case)] + [found]
        write(result, options.out)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
