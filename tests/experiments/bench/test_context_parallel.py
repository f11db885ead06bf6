"""Context parallelism over two processes: the gradients of the LoRA are those of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["-m", "experiments.bench.context_parallel", "--tiny", "--runs=1", "--models=wan-14b", f"--out={out}"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text())["models"]["wan-14b"]
    assert found["gradient_distance"] < 1e-5
    for phases in (found["one"], found["all"]):
        assert all(phases[work]["seconds"]["call"]["median"] > 0 for work in ("forward", "iteration"))
