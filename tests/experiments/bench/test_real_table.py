"""The real-size benchmark's Markdown, on the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.bench import real_table
from experiments.bench.real_table import phase_of, table

RESULTS = Path(real_table.__file__).parent / "results"


@pytest.mark.parametrize("name", ["real_size", "real_size-h200"])
def test_the_committed_tables_are_made_from_the_committed_results(name: str) -> None:
    result = json.loads((RESULTS / f"{name}.json").read_text())
    assert table(result) == (RESULTS / f"{name}.md").read_text()


def test_shares_and_ratios_are_those_of_the_medians() -> None:
    result = json.loads((RESULTS / "real_size.json").read_text())
    rows = {(row["model"], row["case"]): row for row in result["rows"]}
    step, fit = rows["wan-14b", "step"], rows["wan-14b", "tto-3"]
    assert (phase_of(step), phase_of(fit)) == ("step", "iteration")
    seconds = fit["seconds"]["iteration"]["median"]
    lines = table(result).split("## wan-14b")[1].split("## ")[0].splitlines()
    line = next(line for line in lines if line.startswith("| tto-3 |"))
    assert f"| {40 * seconds / (50 * step['seconds']['step']['median']):.1%} |" in line
    assert f"| {seconds / fit['floor']['seconds']:.2f} |" in line
