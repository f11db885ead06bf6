"""What is refused before a model's weights are loaded, and planners of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ttom import TTOM, UserError
from ttom.layout.model import Layout
from ttom.layout.rules import planner as rules
from ttom.presets import emojiworld

PROMPT = "A dog moves up above a bus"


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("ttom.backbones.load_backbone", refuse)


@pytest.mark.parametrize(
    ("prompt", "changes", "problem"),
    [
        ("A zebra above a quokka", {}, "does not know 'zebra', 'quokka'"),
        ("A dog above a house", {"frames": 33}, "(?s)33 frames.*17 frames of 96 x 64"),
        ("A dog above a house", {"height": 128, "width": 192}, "192 x 128"),
        ("?!", {}, "the prompt is empty"),
        ("A dog " * 5000, {}, "characters"),
        ("slowly and beautifully", {}, "object"),
    ],
)
def test_what_cannot_work_is_refused_before_the_weights_are_read(
    no_weights: None, prompt: str, changes: dict[str, int], problem: str
) -> None:
    settings = emojiworld()
    settings = replace(settings, sampler=replace(settings.sampler, **changes))
    with pytest.raises(UserError, match=problem):
        TTOM("emojiworld-wan").generate(prompt, settings=settings)


def test_a_planner_of_ones_own(tiny_folder: Path) -> None:
    asked = []

    def mine(prompt: str, aspect: float) -> Layout:
        asked.append((prompt, aspect))
        return rules.plan("A dog moves up", aspect=aspect, seed=3)

    settings = emojiworld()
    small = {"steps": 2, "frames": 5, "height": 16, "width": 32, "max_sequence_length": 24}
    settings = replace(
        settings,
        sampler=replace(settings.sampler, **small),
        tto=replace(settings.tto, blocks=(1,), guided_steps=1, iterations=1),
    )
    with TTOM(str(tiny_folder), device="cpu", planner=mine, preset="emojiworld") as runner:
        runner.plan_ahead([PROMPT], settings)
        result = runner.generate(PROMPT, settings=settings)
        assert result.layout == runner.plan(PROMPT, settings)
    assert asked == [(PROMPT, 2.0)] * 2
    assert result.report.planner is not None and result.report.planner.planner == "mine"
    assert [group.phrase for group in result.layout.groups()] == ["dog"]
