"""Wall time of `ttom generate` on the embedded checkpoint: python -m experiments.bench.generate --out RESULT.json

Each run is a separate process on at most --threads cores, as a user starts it: with imports, loading and writing the
videos. It is compared with a floor: the floating-point operations of the same work (counted, including attention and
backward passes) divided by the rate of a large float32 matrix product on the same cores, measured in the same call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METHODS = ("base", "ttom")
PROMPT = "A balloon moves from left to right above a house"
TARGET_SECONDS = 60.0


def use_cores(count: int) -> None:
    """Restrict this process and its children to ``count`` cores. Call it before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def generate(prompt: str, method: str, out: Path) -> dict[str, Any]:
    """Run the command once: wall seconds, and the report's seconds and peak_bytes."""
    command = [sys.executable, "-m", "ttom", "generate", prompt, "--method", method, "--out", str(out)]
    started = time.perf_counter()
    subprocess.run([*command, "--device", "cpu", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    from ttom.report import Report

    report = Report.load(out / "report.json")
    seconds = report.seconds.model_dump(exclude_none=True)
    return {"wall": round(wall, 3), "seconds": seconds, "peak_bytes": report.peak_bytes}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {"min": round(ordered[0], 3), "median": round(median, 3), "max": round(ordered[-1], 3)}


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Spread of the wall time and of each stage, the optimization's share of the wall time, and the largest peak."""
    return {
        "wall_seconds": spread([run["wall"] for run in runs]),
        "stage_seconds": {stage: spread([run["seconds"][stage] for run in runs]) for stage in runs[0]["seconds"]},
        "outside_generate_seconds": spread([run["wall"] - run["seconds"]["total"] for run in runs]),
        "optimize_share_of_wall": round(
            spread([run["seconds"]["optimize"] / run["wall"] for run in runs])["median"], 3
        ),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
        "runs": runs,
    }


def matmul_rate(size: int = 1536, seconds: float = 2.0, device: str = "cpu", dtype: Any = None) -> float:
    """Best rate of matrix products in operations per second, in float32 unless another dtype is given."""
    import torch

    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        wait()
        started = time.perf_counter()
        a @ b
        wait()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def count_operations(work: Any) -> dict[str, int]:
    """Floating-point operations of calling `work`: the total, and those of the transformer."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

    def forward(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(gradient: Any, query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:
        return sdpa_backward_flop_count(gradient, query, key, value)

    aten = torch.ops.aten  # torch itself counts only the attention kernels of GPUs
    kernels: dict[Any, Any] = {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    with FlopCounterMode(display=False, custom_mapping=kernels) as counter:
        work()
    by_module = counter.get_flop_counts()
    return {
        "total": sum(by_module["Global"].values()),
        "transformer": sum(by_module.get("WanTransformer3DModel", {}).values()),
    }


def floor(prompt: str, method: str, rate: float) -> dict[str, Any]:
    """Operations of a video, and the seconds that they take at ``rate`` operations per second."""
    from ttom import TTOM

    model = TTOM.from_pretrained(device="cpu")
    operations = count_operations(lambda: model.generate(prompt, method=method))
    return {"operations": operations, "seconds": round(operations["total"] / rate, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--runs", type=int, default=3, help="runs of each method")
    parser.add_argument("--threads", type=int, default=2, help="maximum number of cores and threads")
    options = parser.parse_args()
    use_cores(options.threads)
    load_before = os.getloadavg()[0]
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.runs):  # alternating, so that a busy minute does not affect one method only
            for method in METHODS:
                runs[method].append(generate(options.prompt, method, Path(folder) / f"{method}-{i}"))
                print(f"{method} {i + 1}/{options.runs}: {runs[method][-1]['wall']:.1f} s", flush=True)

    from ttom.provenance import environment

    rate = matmul_rate()
    result: dict[str, Any] = {"prompt": options.prompt, "threads": options.threads, "load_before": load_before}
    result |= {"matmul_operations_per_second": round(rate), "methods": {}}
    for method in METHODS:
        row = summarize(runs[method]) | {"floor": floor(options.prompt, method, rate)}
        work = row["stage_seconds"]
        busy = sum(work[stage]["median"] for stage in ("optimize", "sample", "decode"))
        row["floor"]["wall_ratio"] = round(row["wall_seconds"]["median"] / row["floor"]["seconds"], 2)
        row["floor"]["compute_ratio"] = round(busy / row["floor"]["seconds"], 2)
        result["methods"][method] = row
    walls = {method: row["wall_seconds"]["median"] for method, row in result["methods"].items()}
    result["wall_ratio_ttom_to_base"] = round(walls["ttom"] / walls["base"], 3)
    result["target"] = {"wall_seconds": TARGET_SECONDS, "met": walls["ttom"] <= TARGET_SECONDS}
    arguments = {key: str(value) for key, value in vars(options).items()}
    result["provenance"] = environment("cpu") | {"arguments": arguments}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{options.out}: base {walls['base']:.1f} s, ttom {walls['ttom']:.1f} s")


if __name__ == "__main__":
    main()
