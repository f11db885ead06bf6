"""Processes that race at a tiny size do no harm."""

from __future__ import annotations

from pathlib import Path

from experiments.faults import __main__ as faults
from experiments.faults import race


def test_processes_race_without_harm(tmp_path: Path) -> None:
    result = race.run(tmp_path / "race", 12, processes=2)
    assert result["acknowledged"] >= 12 and result["reads"] > 0
    assert not list(faults.failures("race", result)), result
