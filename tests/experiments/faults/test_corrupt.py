"""Damage at a tiny size costs no other entry."""

from __future__ import annotations

from pathlib import Path

from experiments.faults import __main__ as faults
from experiments.faults import corrupt


def test_damage_costs_no_other_entry(tmp_path: Path) -> None:
    results = corrupt.run(tmp_path, 4)
    assert not list(faults.failures("corrupt", results)), results
    for kind in ("database: emptied", "database: deleted", "log of version 1: deleted", "memory.json: deleted"):
        assert results[kind]["writers stopped"] == results[kind]["times"], kind
    assert results["value: deleted"]["quarantined"] == results["value: deleted"]["times"]
