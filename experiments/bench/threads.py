"""Threads of `ttom generate` on a CPU, alone and beside other work.

python -m experiments.bench.threads --out RESULT.json

Each run is a process of its own on the embedded checkpoint. Other work is processes that compute without pause, on the
same cores. Variants are taken in turn, so that a busy minute does not fall on one of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttom.__main__ import PASSIVE_WAITING
from ttom.files import write_json

PROMPT = "A balloon moves from left to right above a house"
VARIANTS: dict[str, dict[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads, spinning": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "300000"},  # what libgomp does by itself
    "2 threads, passive": {"OMP_NUM_THREADS": "2", **PASSIVE_WAITING},  # what `ttom` does
}


def run(environment: dict[str, str], steps: int) -> dict[str, float]:
    """Seconds of one run: wall, and of the stages that compute."""
    from ttom.report import Report

    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ttom", "generate", PROMPT, "--device", "cpu", "--quiet", "--out", out]
        foreign = ("OMP_", "GOMP_", "KMP_", "MKL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        start = time.perf_counter()
        subprocess.run(
            [*command, "--sampler.steps", str(steps), "--tto.guided-steps", "2"],
            env=kept | environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wall, seconds = time.perf_counter() - start, Report.load(Path(out) / "report.json").seconds
    return {"wall": round(wall, 2), "compute": round((seconds.optimize or 0) + (seconds.sample or 0), 2)}


def _spin() -> None:
    number = 0
    while True:
        number = (number * 31 + 7) % 1_000_003


@contextmanager
def other_work(processes: int) -> Iterator[None]:
    """So many processes that never pause."""
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for process in others:
        process.start()
    try:
        yield
    finally:
        for process in others:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3, help="of each variant and load")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--others", type=int, nargs="+", default=[0, 2, 4], help="competing processes")
    options = parser.parse_args()
    from ttom.provenance import environment

    rows: list[dict[str, Any]] = []
    for others in options.others:
        for _ in range(options.runs):
            for name, variant in VARIANTS.items():
                with other_work(others):
                    load = round(os.getloadavg()[0], 2)
                    rows.append({"threads": name, "others": others, "load": load, **run(variant, options.steps)})
                print(rows[-1], flush=True)
    write_json(options.out, {"cores": os.cpu_count(), "rows": rows, "provenance": environment("cpu")})


if __name__ == "__main__":
    main()
