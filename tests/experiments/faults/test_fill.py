"""Full disks at a tiny size are clear and harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.faults import __main__ as faults
from experiments.faults import fill


def test_full_disks_are_clear_and_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "SIZES", (600,))
    result = fill.run(tmp_path / "fill", 2)
    assert not list(faults.failures("fill", result)), result
    assert all(result[f"failing {call}"]["full"] for call in ("write", "sync", "rename", "database"))
