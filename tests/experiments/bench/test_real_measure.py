"""The meter of the real-size benchmark, on a clock of its own."""

from __future__ import annotations

import pytest
import torch

from experiments.bench import real_measure
from experiments.bench.real_measure import Meter, masks_for
from ttom.types import TokenGrid


def test_what_lies_between_two_marks_belongs_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(real_measure.time, "perf_counter", lambda: now[0])

    class Work:
        def step(self, seconds: float) -> float:
            now[0] += seconds
            return seconds

    meter, work = Meter(torch.device("cpu")), Work()
    now[0] += 100.0
    meter.mark(None)  # not recorded
    now[0] += 2.0
    meter.mark("first")
    with meter.watching(work, "step", "step"):
        now[0] += 0.5
        assert work.step(3.0) == 3.0
        assert work.step(5.0) == 5.0
    work.step(7.0)  # no longer watched
    meter.mark("rest")
    assert {name: list(seconds) for name, seconds in meter.seconds.items()} == {
        "first": [2.0], "around": [0.5, 0.0], "step": [3.0, 5.0], "rest": [7.0]
    }  # fmt: skip
    assert meter.report()["seconds"]["step"] == {"min": 3.0, "median": 4.0, "max": 5.0}


def test_the_masks_are_the_halves_of_the_picture() -> None:
    masks = masks_for(TokenGrid(2, 4, 6), torch.device("cpu"))
    assert torch.allclose(masks.masks.sum(dim=(-2, -1)), torch.ones(2, 2)) and masks.visible.all()
    assert masks.masks[0, ..., 3:].sum() == masks.masks[1, ..., :3].sum() == 0
