"""A checkpoint's own words: read as data, copied with the folder, and wrong ones refused with a remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ttom.checkpoints import EMBEDDED, path
from ttom.checkpoints.card import ModelCard, read_card
from ttom.emojiworld.editions import CURRENT
from ttom.errors import SetupError, UserError
from ttom.presets import PRESETS, preset_for


@pytest.mark.parametrize("model", EMBEDDED)
def test_the_embedded_cards_say_what_the_presets_and_the_world_say(model: str) -> None:
    card = read_card(model)
    assert card is not None and card.preset is not None
    sampler = PRESETS[card.preset]().sampler
    assert (card.frames, card.height, card.width) == (sampler.frames, sampler.height, sampler.width)
    assert card.nouns == tuple(sorted(noun.name for noun in CURRENT.nouns)) and len(card.nouns) == 66
    card.check_size(sampler.frames, sampler.height, sampler.width)


@pytest.mark.parametrize("model", EMBEDDED)
def test_a_copied_folder_takes_its_preset_along(model: str, tmp_path: Path) -> None:
    copied = tmp_path / "renamed"
    copied.mkdir()
    shutil.copy(path(model) / "ttom.json", copied)
    assert preset_for(str(copied)) == preset_for(model) != "paper"


def test_models_without_a_card(tmp_path: Path, tiny_folder: Path) -> None:
    for model in ("Wan-AI/Wan2.1-T2V-14B-Diffusers", "no such model", str(tmp_path), str(tiny_folder)):
        assert read_card(model) is None
    (tmp_path / "ttom.json").write_text('{"version": 1}')
    assert read_card(str(tmp_path)) == ModelCard()
    assert preset_for(str(tmp_path)) == "paper"


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(21, 64, 96), (17, 480, 832), (17, 64, 112), (17, 80, 96), (5, 64, 96)]
)
def test_other_sizes_than_the_trained_one_are_refused(frames: int, height: int, width: int) -> None:
    card = ModelCard(frames=17, height=64, width=96)
    with pytest.raises(UserError, match=f"(?s){frames} frames of {width} x {height}.*17 frames of 96 x 64"):
        card.check_size(frames, height, width)
    ModelCard().check_size(frames, height, width)
    ModelCard(frames=frames).check_size(frames, height, width)


def with_card(folder: Path, content: Any) -> str:
    (folder / "ttom.json").write_text(content if isinstance(content, str) else json.dumps({"version": 1} | content))
    return str(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON.*line 1"),
        ('{"a":' + "[" * 100_000, "is not JSON.*nested too deeply"),
        ("[]", "is not JSON.*not an object"),
        ({"version": 2}, "is not a model card of version 1"),
        ({"preset": 3}, "has the preset 3"),
        ({"preset": ["x" * 500]}, r"has the preset \['x+\.\.\."),
        ({"frames": "17"}, "has the frames '17'"),
        ({"height": 0}, "has the height 0"),
        ({"width": True}, "has the width True"),
        ({"nouns": "cat"}, "not a list of words"),
        ({"nouns": [1]}, "not a list of words"),
        ({"nouns": ["\x1b[2Jcat"]}, "not a list of words"),
        ({"preset": "a\nb"}, r"has the preset 'a\\nb'"),
    ],
)
def test_cards_that_cannot_be_read(content: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"(?s){problem}.*name the `preset` yourself"):
        read_card(with_card(tmp_path, content))


def test_a_preset_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="(?s)names the preset 'best'.*one of paper.*name the `preset` yourself"):
        preset_for(with_card(tmp_path, {"preset": "best"}))


def test_a_card_is_read_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="longer than 4,000,000 bytes"):
        read_card(with_card(tmp_path, " " * 4_000_000 + '{"version": 1}'))
