"""The page about the memory quotes the measured result."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.faults import table


def test_the_page_shows_the_figures_of_the_result() -> None:
    result = json.loads(table.RESULT.read_text())
    page = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
    unwrapped = " ".join(page.split())
    for line in filter(None, table.table(result).splitlines()):
        assert " ".join(line.split()) in unwrapped, line
    assert result["failures"] == [] and result["kill"]["kills"] >= 300 and not result["provenance"]["dirty"]
