"""Toy suites, metrics and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eval.suites
from eval.metrics.registry import Metric, register, unregister
from eval.replay import main
from tests.eval.fake_worker import FakeVideos, toy_suite
from tests.eval.judged import QUESTIONS
from tests.eval.scoring import ASKED


@pytest.fixture
def scored_metric() -> Iterator[Metric]:
    metric = Metric(
        "brightness",
        applies=lambda subject: subject.case.suite == "toy",
        questions=lambda subject: [ASKED],
        score=lambda subject, ask: ask(ASKED),
        binary=True,
    )
    yield register(metric)
    unregister("brightness")


@pytest.fixture
def asked_metric() -> Iterator[Metric]:
    metric = Metric(
        "brightness",
        applies=lambda subject: subject.case.suite == "toy",
        questions=lambda subject: QUESTIONS,
        score=lambda subject, ask: ask(QUESTIONS[0]) / 255,
    )
    yield register(metric)
    unregister("brightness")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a toy suite of so many cases."""

    def register(count: int, behavior: dict[int, str] | None = None) -> None:
        monkeypatch.setitem(eval.suites._SUITES, "toy", toy_suite(count, behavior))

    return register


@pytest.fixture
def replay(tmp_path: Path, tiny_folder: Path) -> Callable[..., int]:
    """Runs with fake workers into tmp_path / "run"; later options count."""

    def run(*options: str, method: str = "ttom") -> int:
        fixed = ["--suite", "toy", "--out", str(tmp_path / "run"), "--model", str(tiny_folder), "--quiet"]
        worker = FakeVideos(str(tmp_path / "tries"), method)
        return main([*fixed, "--device", "cpu", "--method", method, *options], worker)

    return run
