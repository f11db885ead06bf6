"""The command of the faults writes its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.faults import __main__ as faults


def test_the_command_writes_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "result.json"
    monkeypatch.setattr("sys.argv", ["faults", "--out", str(out), "--parts", "race", "--scale", "0.01"])
    assert faults.main() == 0
    result = json.loads(out.read_text())
    assert result["failures"] == [] and result["race"]["lost"] == 0 and result["provenance"]["arguments"]["scale"]
