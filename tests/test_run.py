"""The check in a run, and the best of several videos, with a detector that says what the test wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.guidance.test_bias import PROMPT, SETTINGS
from ttom import TTOM, UserError, pipeline
from ttom.check.finders import Found
from ttom.config import MemoryConfig
from ttom.report import Report
from ttom.result import Result


class Eye:
    """Finds the planned dog and bus in the videos of some calls, and nothing in the others."""

    def __init__(self, *good: int) -> None:
        self.good, self.videos = good, []  # type: ignore[var-annotated]

    def __call__(self, video: np.ndarray, nouns: Sequence[str]) -> list[list[Found]]:
        self.videos.append(video)
        if len(self.videos) - 1 not in self.good:
            return [[] for _ in video]
        layout, last = self.layout, len(video) - 1  # type: ignore[attr-defined]
        boxes = [[(item.noun, item.box_at(i / last)) for item in layout.objects] for i in range(len(video))]
        return [[Found(noun, (box.x0, box.y0, box.x1, box.y1)) for noun, box in frame] for frame in boxes]


@pytest.fixture(scope="module")
def runner(tiny_folder: Path) -> Iterator[TTOM]:
    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        yield runner


def run(runner: TTOM, monkeypatch: pytest.MonkeyPatch, eye: Eye | None, **options: Any) -> Result:
    if eye is not None:
        eye.layout = runner.plan(PROMPT, SETTINGS)  # type: ignore[attr-defined]
    monkeypatch.setattr(pipeline, "find_finder", lambda *_: ("eye", eye) if eye is not None else None)
    return runner.generate(PROMPT, **{"method": "base", "seed": 5, "settings": SETTINGS, **options})


def test_a_run_is_checked(runner: TTOM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    eye = Eye(0)
    result = run(runner, monkeypatch, eye, out=tmp_path / "out")
    check = result.report.check
    assert check is not None and check.following == 2 and check.seed == 5 and not check.tries
    assert np.array_equal(eye.videos[0], result.video)
    assert result.report.seconds.check is not None
    assert Report.load(tmp_path / "out" / "report.json").check == check
    assert run(runner, monkeypatch, None).report.check is None


def test_the_best_of_several_is_the_video_of_its_seed(runner: TTOM, monkeypatch: pytest.MonkeyPatch) -> None:
    eye = Eye(2)
    result = run(runner, monkeypatch, eye, tries=4)
    report = result.report
    assert report.check is not None and (report.seed, report.check.seed) == (5, 7)
    assert [(one.seed, one.following) for one in report.check.tries] == [(5, 0), (6, 0), (7, 2), (8, 0)]
    assert len(eye.videos) == 4 and np.array_equal(eye.videos[2], result.video)
    alone = run(runner, monkeypatch, None, seed=7)
    assert torch.equal(result.latents, alone.latents) and torch.equal(result.maps_before, alone.maps_before)
    assert np.array_equal(result.video, alone.video)
    ids = {run(runner, monkeypatch, Eye(0), tries=tries).report.identity for tries in (1, 2)}
    assert len({*ids, report.identity}) == 3
    assert report.identity == runner.identity(PROMPT, "base", 5, None, SETTINGS, tries=4)
    other = run(runner, monkeypatch, Eye(2), tries=4, check="other").report
    assert other.identity == runner.identity(PROMPT, "base", 5, None, SETTINGS, tries=4, check="other")
    assert other.identity != report.identity


def test_the_first_of_equals_is_kept(runner: TTOM, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(runner, monkeypatch, Eye(), tries=3).report
    assert report.check is not None and report.check.seed == 5


def test_the_memory_learns_from_the_best(runner: TTOM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "m")))
    result = run(runner, monkeypatch, Eye(1), tries=2, method="ttom", settings=settings)
    assert result.report.memory is not None and result.report.memory.inserted is not None
    alone = run(runner, monkeypatch, None, method="ttom", seed=6)
    assert result.adapter is not None and alone.adapter is not None
    assert all(torch.equal(result.adapter[name], alone.adapter[name]) for name in alone.adapter)
    assert len(list((tmp_path / "m").rglob("*.safetensors"))) == 1
    assert result.report.tto == alone.report.tto


def test_bad_input(runner: TTOM, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"(?s)`tries` is 2, but nothing tells.*`check=grounding`"):
        run(runner, monkeypatch, None, tries=2)
    for tries in (0, 2.5, True):
        with pytest.raises(UserError, match=f"`tries` is {tries}"):
            run(runner, monkeypatch, Eye(0), tries=tries)
    with pytest.raises(UserError, match="`seed` is 1.5"):
        run(runner, monkeypatch, Eye(0), seed=1.5)
    with pytest.raises(UserError, match="`seed` is"):
        run(runner, monkeypatch, Eye(0), tries=2, seed=2**63 - 1)
    monkeypatch.setattr(pipeline, "find_finder", lambda *_: ("eye", Eye(0)))
    with pytest.raises(UserError, match=r"(?s)`tries` is 2.*a method that needs a layout"):
        runner.generate("and of the with", method="base", settings=SETTINGS, tries=2)
