"""What is refused before a model's weights are loaded, and planners of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ttom import TTOM, UserError
from ttom.errors import SetupError
from ttom.guidance import find_method
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
        ("A unicorn above a house", {}, r"words\)\ntry: another noun that `ttom models --nouns` lists, or another `m"),
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


@pytest.mark.parametrize(
    ("prompt", "layout", "problem"),
    [
        (None, None, "the prompt is of type NoneType"),
        (PROMPT, "layout.json", r"(?s)the layout is of type str.*load_layout\(PATH\)"),
        (PROMPT, {"prompt": PROMPT}, r"(?s)the layout is of type dict.*Layout.model_validate\(DATA\)"),
    ],
)
def test_other_types_are_refused(no_weights: None, prompt: Any, layout: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        TTOM("emojiworld-wan").generate(prompt, layout=layout)


@pytest.mark.parametrize(
    ("method", "tto", "problem"),
    [
        ("ttom", {"loss": "kl"}, "(?s)unknown loss 'kl'.*one of jsd.*try: `tto.loss=jsd`"),
        ("ttom+lvd", {"loss": "kl"}, "unknown loss 'kl'"),
        ("bias", {"downsample": 2}, "(?s)`tto.downsample` is 2.*whole latents"),
        ("ttom", {"downsample": 2}, "`tto.downsample` is 2"),
        ("lvd+bias", {"downsample": 2}, "`tto.downsample` is 2"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_weights_are_read(
    no_weights: None, tiny_folder: Path, method: str, tto: dict[str, Any], problem: str
) -> None:
    settings = emojiworld()
    settings = replace(
        settings,
        tto=replace(settings.tto, **tto),
        bias=replace(settings.bias, strength=5.0 if method == "ttom" else None),
    )
    with pytest.raises(SetupError, match=problem):
        TTOM(str(tiny_folder), preset="emojiworld").generate(PROMPT, method=method, settings=settings)


def test_settings_of_another_method_do_not_matter() -> None:
    settings = emojiworld()
    find_method("base").check(replace(settings, tto=replace(settings.tto, loss="kl", downsample=2)))
    find_method("ttom").check(replace(settings, tto=replace(settings.tto, downsample=2)))
    find_method("bias").check(replace(settings, tto=replace(settings.tto, loss="kl")))


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
