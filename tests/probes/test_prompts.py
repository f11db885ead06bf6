"""The prompts that come with the probe."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.arguments import PROMPTS
from probes.emojiworld_prompts import COUNT, MOVING, SEED, prompts
from ttom.emojiworld.facts import split_of
from ttom.emojiworld.training_prompts import training_prompts
from ttom.layout.rules.planner import plan
from ttom.prompts import read_prompts


@pytest.mark.parametrize("name", ["common", "emojiworld"])
def test_there_are_200_and_the_rules_can_plan_each(name: str) -> None:
    found = read_prompts(PROMPTS / f"{name}.jsonl")
    assert len({prompt.text for prompt in found}) == len(found) == 200
    assert [prompt.seed for prompt in found] == list(range(200)), "the seeds of the published results"
    for prompt in found:
        assert plan(prompt.text, aspect=1.5, seed=0).groups(), prompt.text


def test_in_each_common_scene_something_moves() -> None:
    for prompt in read_prompts(PROMPTS / "common.jsonl"):
        things = plan(prompt.text, aspect=1.7, seed=0).objects
        assert any(thing.box_at(0.0) != thing.box_at(1.0) for thing in things), prompt.text


def test_emojiworlds_are_what_the_script_makes() -> None:
    assert [prompt.text for prompt in read_prompts(PROMPTS / "emojiworld.jsonl")] == prompts()


def test_emojiworlds_are_of_the_training_split() -> None:
    chosen = [p for p in training_prompts(3 * COUNT, SEED) if p.composition[0] in MOVING][:COUNT]
    assert [prompt.text for prompt in chosen] == prompts()
    for prompt in chosen:
        assert {split_of(*combination) for combination in prompt.scene.facts.combinations()} == {"train"}


def test_files_lie_in_the_package() -> None:
    assert sorted(path.name for path in Path(PROMPTS).iterdir()) == ["common.jsonl", "emojiworld.jsonl"]
