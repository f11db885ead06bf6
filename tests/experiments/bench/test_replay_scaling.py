"""The measurement of several devices, on what runs would have left."""

from __future__ import annotations

from pathlib import Path

from experiments.bench import harness, replay_scaling


def row(devices: int, per_device: int, rate: float, **digests: str) -> dict:
    return {"devices": devices, "per_device": per_device, "videos_per_minute": rate, "sha256": digests}


def test_efficiency_is_against_one_device_with_as_many_workers() -> None:
    rows = [row(1, 1, 10, a="x", b="y"), row(2, 1, 19, a="x", b="y"), row(1, 4, 30, a="x", b="z")]
    found = replay_scaling.compared([*rows, row(2, 4, 48, a="x", b="y")])
    assert [one["efficiency"] for one in found["runs"]] == [1.0, 0.95, 1.0, 0.8]
    assert (found["same_bytes"], found["videos"]) == (1, 2)
    assert all("sha256" not in one for one in found["runs"])


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
