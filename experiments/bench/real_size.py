"""Time and memory at real size: python -m experiments.bench.real_size --out experiments/bench/results/real_size.json

The published transformers with random weights, in bfloat16, at their official sizes, through the project's sampler and
LightningModule. Few steps and iterations are measured; what a whole run of 50 steps and 40 iterations takes is
computed from them. Beside each figure stands its floor: the operations of the same work, counted, over the rate of a
large matrix product in the same number format, measured in the same call. The file is written after each row; called
again, it measures the rows that are missing. A table lies beside it as Markdown.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import Any

import torch

from experiments.bench.generate import matmul_rate
from experiments.bench.real_cases import CASES, Case
from experiments.bench.real_measure import TOKENS, masks_for, measure_bare, measure_fit, measure_steps
from experiments.bench.real_models import MODELS, Model, build, operations, text_embedding
from experiments.bench.real_table import table
from ttom.backbones import Backbone
from ttom.errors import UserError
from ttom.provenance import environment
from ttom.types import TextEmbeddings


def measure(case: Case, model: Model, backbone: Backbone, runs: int) -> dict[str, Any]:
    """Seconds and peak memory of a case's phases."""
    settings, device = case.resolved(model), backbone.device
    positive, negative = (text_embedding(model, device, backbone.dtype, seed) for seed in (0, 1))
    text, latents = TextEmbeddings(positive, negative), backbone.initial_latents(model.size, 0)
    if case.measure == "step":
        return measure_steps(backbone, latents, text, settings, runs)
    masks = masks_for(backbone.token_grid(model.size).reduced(settings.tto.downsample), device)
    iterations = measure_fit if case.measure == "fit" else measure_bare
    return iterations(backbone, latents, text, masks, settings, runs)


def limit_memory(device: torch.device, gib: float | None) -> None:
    """Let torch's allocator have so much of the GPU; None for all of it."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if gib is None else min(1.0, gib * 2**30 / total), device)


def row(name: str, model: Model, device: torch.device, runs: int, rate: float) -> dict[str, Any]:
    """Build the model, measure one case, and set the floor beside it; out of memory is a result too."""
    case, started = CASES[name], time.perf_counter()
    found: dict[str, Any] = {"case": name, "settings": case.settings, "limit_gib": case.limit_gib}
    settings = case.resolved(model)
    found["blocks"] = list(settings.tto.blocks)
    limit_memory(device, case.limit_gib)
    try:
        backbone = build(model, str(device), torch.bfloat16)
        found["weights_gib"] = round(sum(p.nbytes for p in backbone.transformer.parameters()) / 2**30, 2)
        found |= measure(case, model, backbone, runs)
        found["floor"] = floor(found, operations(model, settings, TOKENS), rate)
    except torch.OutOfMemoryError as error:
        found["failed"] = f"out of memory: {str(error).splitlines()[0]}"
    except UserError as error:
        found["failed"] = str(error)
    finally:
        limit_memory(device, None)
        backbone = None  # type: ignore[assignment]
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return found | {"wall_seconds": round(time.perf_counter() - started, 2)}


def floor(found: dict[str, Any], counted: dict[str, int], rate: float) -> dict[str, Any]:
    """Operations, the seconds they take at the rate, and how much longer the median took."""
    phase = "step" if "step" in found["seconds"] else "iteration"
    seconds = counted[phase] / rate
    ratio = round(found["seconds"][phase]["median"] / seconds, 2)
    return {"phase": phase, "operations": counted[phase], "seconds": round(seconds, 4), "ratio": ratio}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; the table is written beside it")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no row is begun after so many")
    parser.add_argument("--runs", type=int, default=3, help="steps or iterations that are timed in a row")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small parts of the same classes, to try it on a CPU")
    options = parser.parse_args(arguments)
    end, device = time.monotonic() + 60 * options.minutes, torch.device(options.device)
    result: dict[str, Any] = {"calls": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text())
    rate = matmul_rate(64 if options.tiny else 8192, 1.0, options.device, torch.bfloat16)
    given = {key: str(value) for key, value in vars(options).items()}
    call = environment(device) | {"matmul_operations_per_second": round(rate), "arguments": given}
    result["calls"].append(call)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(known["model"], known["case"]) for known in result["rows"]}
    for name in options.models:
        for case in options.cases:
            if (name, case) in done or (CASES[case].only and name not in CASES[case].only):
                continue
            if time.monotonic() > end:
                print(f"{name} {case}: no time left", flush=True)
                continue
            model = MODELS[name] if not options.tiny else MODELS[name].small()
            found = {"model": name, "call": len(result["calls"]) - 1} | row(case, model, device, options.runs, rate)
            result["rows"].append(found)
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            options.out.with_suffix(".md").write_text(table(result))
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
