"""A simulated day of the harness, and what of it is not linear."""

from __future__ import annotations

from pathlib import Path

from experiments.bench import harness


def test_growth_names_what_is_not_linear() -> None:
    small = {"cases": 100, "cpu_seconds": {"report": 1.0, "scores": 1.0}, "megabytes": {"run": 1.0}}
    large = {"cases": 400, "cpu_seconds": {"report": 4.4, "scores": 16.0}, "megabytes": {"run": 3.9}}
    busy = {"report": 99.0, "scores": 99.0}  # on a disk that others use too
    found = harness.growth([{**small, "seconds": small["cpu_seconds"]}, {**large, "seconds": busy}])
    assert found["cpu_seconds"] == {"report": 1.1, "scores": 4.0} and not found["linear"]
    assert found["not_linear"] == ["scores"]


def test_a_small_day(tmp_path: Path) -> None:
    found = harness.measure(12, tmp_path)
    assert found["cases"] == 12 and found["megabytes"]["report"] > 0
    assert set(found["seconds"]) == {
        "suite", "layouts", "manifest", "resume", "judging", "judging again", "scores", "report"
    }  # fmt: skip
