"""The measurement of threads: each run has only the variables of its variant, and other work ends with it."""

from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path
from typing import Any

import pytest

from experiments.bench import threads
from tests.test_report import report as report  # the fixture
from ttom.report import Report


def test_a_run_has_the_variables_of_its_variant_alone(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], env: dict[str, str], **_: Any) -> None:
        seen.update(env=env, command=command)
        seconds = report.seconds.model_copy(update={"optimize": 1.25, "sample": 2.0})
        report.model_copy(update={"seconds": seconds}).save(Path(command[command.index("--out") + 1]) / "report.json")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    monkeypatch.setenv("TTOM_KEPT", "1")
    found = threads.run(threads.VARIANTS["1 thread"], steps=4)
    assert found["compute"] == 3.25 and found["wall"] >= 0
    assert seen["env"]["OMP_NUM_THREADS"] == "1" and seen["env"]["TTOM_KEPT"] == "1"
    assert not {"OMP_WAIT_POLICY", "KMP_BLOCKTIME"} & set(seen["env"])
    assert seen["command"][seen["command"].index("--sampler.steps") + 1] == "4"


def test_other_work_ends_with_the_block() -> None:
    before = len(multiprocessing.active_children())
    with pytest.raises(ZeroDivisionError), threads.other_work(1):
        assert len(multiprocessing.active_children()) == before + 1
        _ = 1 / 0
    for child in multiprocessing.active_children():
        child.join(timeout=10)
    assert len(multiprocessing.active_children()) == before
