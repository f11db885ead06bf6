"""Prompts of the training split: their combinations, coverage and keys."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ttom import UserError
from ttom.emojiworld import training_prompts as module
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.facts import split_of
from ttom.emojiworld.prompts import prompts
from ttom.emojiworld.sampling import sample_scene
from ttom.emojiworld.training_prompts import TrainingPrompt, composition_of, compositions, training_prompts
from ttom.emojiworld.words import UNKNOWN_WORD
from ttom.layout.rules.planner import plan

KINDS = tuple(FIRST.kinds)


@pytest.fixture(scope="module")
def chosen() -> list[TrainingPrompt]:
    return training_prompts(240)


def test_prompts_are_the_same_every_time(chosen: list[TrainingPrompt]) -> None:
    texts = [prompt.text for prompt in chosen]
    assert [prompt.text for prompt in training_prompts(100)] == texts[:100]
    assert [prompt.text for prompt in training_prompts(100, seed=1)] != texts[:100]
    assert [prompt.number for prompt in chosen] == list(range(240))


def test_prompts_are_of_training_combinations_only(chosen: list[TrainingPrompt]) -> None:
    for prompt in chosen:
        for combination in prompt.scene.facts.combinations():
            assert split_of(*combination) == "train", prompt.text
    held_out = {prompt.text for split in ("tune", "test") for prompt in prompts(split, 100)}
    assert not held_out & {prompt.text for prompt in chosen}


def test_prompts_cover_all_compositions_in_turn(chosen: list[TrainingPrompt]) -> None:
    every = [composition for kind in KINDS for composition in compositions(kind)]
    assert len(set(every)) == len(every) == 4 + 8 + 8 + 4 + 6 + 15
    assert {prompt.composition for prompt in chosen[:90]} == set(every)
    assert Counter(prompt.scene.kind for prompt in chosen) == {kind: 40 for kind in KINDS}
    for kind in KINDS:
        seen = Counter(prompt.composition for prompt in chosen if prompt.scene.kind == kind)
        assert max(seen.values()) - min(seen.values()) <= 1


def test_the_compositions_are_those_of_the_world() -> None:
    rng = random.Random(0)
    for kind in KINDS:
        seen = {composition_of(sample_scene(rng, "train", kind, FIRST)) for _ in range(300)}
        assert seen == set(compositions(kind))


def test_every_prompt_can_be_planned_and_has_a_key_of_its_own(chosen: list[TrainingPrompt]) -> None:
    for prompt in chosen:
        assert UNKNOWN_WORD not in prompt.text
        assert plan(prompt.text, aspect=1.5).objects
    assert len({prompt.key.lower() for prompt in chosen}) == len({prompt.text for prompt in chosen}) == 240


def test_what_cannot_be_planned_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuses_every_other(*arguments: object, **given: object) -> object:
        calls.append(arguments)
        if len(calls) % 2:
            raise UserError("no")
        return plan(*arguments, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "plan", refuses_every_other)
    assert len(training_prompts(12)) == 12
    assert len(calls) >= 24
