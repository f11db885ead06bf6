"""The measurement of several devices, on what runs would have left."""

from __future__ import annotations

from experiments.bench import replay_scaling


def row(devices: int, per_device: int, rate: float, **digests: str) -> dict:
    return {"devices": devices, "per_device": per_device, "videos_per_minute": rate, "sha256": digests}


def test_efficiency_is_against_one_device_with_as_many_workers() -> None:
    rows = [row(1, 1, 10, a="x", b="y"), row(2, 1, 19, a="x", b="y"), row(1, 4, 30, a="x", b="z")]
    found = replay_scaling.compared([*rows, row(2, 4, 48, a="x", b="y")])
    assert [one["efficiency"] for one in found["runs"]] == [1.0, 0.95, 1.0, 0.8]
    assert (found["same_bytes"], found["videos"]) == (1, 2)
    assert all("sha256" not in one for one in found["runs"])
