"""Progress without a terminal: a line now and then, with an estimate."""

from __future__ import annotations

import pytest

from eval import progress
from eval.progress import CaseProgress


def test_lines_with_an_estimate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with CaseProgress("videos", 100) as bar:
        for _ in range(4):
            now[0] += 40.0
            bar.one_more("1 refused")
    assert capsys.readouterr().err.splitlines() == [
        "2 of 100 videos, about 65 min left 1 refused",
        "4 of 100 videos, about 64 min left 1 refused",
    ]


def test_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with CaseProgress("videos", 2, quiet=True) as bar:
        now[0] = 1000.0
        bar.one_more()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_in_words(seconds: float, text: str) -> None:
    assert progress._spelled(seconds) == text
