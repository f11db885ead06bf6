"""The prompts that fill a memory, and filling one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.emojiworld import pseudo_train
from ttom import UserError
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.emojiworld.captions import UNKNOWN_WORD
from ttom.emojiworld.prompts import prompts
from ttom.emojiworld.world import KINDS, combinations, sample_scene, split_of
from ttom.layout.rules.planner import plan
from ttom.memory.store import Store
from ttom.presets import emojiworld

TINY = Settings(
    sampler=SamplerConfig(steps=2, guidance_scale=1.0, frames=5, height=32, width=48, max_sequence_length=64),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(0,), lr=5e-3, guided_steps=1, iterations=2),
)


@pytest.fixture(scope="module")
def chosen() -> list[pseudo_train.Prompt]:
    return pseudo_train.training_prompts(240)


def test_prompts_are_the_same_every_time(chosen: list[pseudo_train.Prompt]) -> None:
    texts = [prompt.text for prompt in chosen]
    assert [prompt.text for prompt in pseudo_train.training_prompts(100)] == texts[:100]
    assert [prompt.text for prompt in pseudo_train.training_prompts(100, seed=1)] != texts[:100]
    assert [prompt.number for prompt in chosen] == list(range(240))


def test_prompts_are_of_training_combinations_only(chosen: list[pseudo_train.Prompt]) -> None:
    for prompt in chosen:
        nouns, facts = prompt.scene.facts["nouns"], prompt.scene.facts
        for combination in combinations(prompt.scene.kind, nouns, facts):
            assert split_of(*combination) == "train", prompt.text
    held_out = {prompt.text for split in ("tune", "test") for prompt in prompts(split, 100)}
    assert not held_out & {prompt.text for prompt in chosen}


def test_prompts_cover_all_compositions_in_turn(chosen: list[pseudo_train.Prompt]) -> None:
    every = [composition for kind in KINDS for composition in pseudo_train.compositions(kind)]
    assert len(set(every)) == len(every) == 4 + 8 + 8 + 4 + 6 + 15
    assert {prompt.composition for prompt in chosen[:90]} == set(every)
    assert Counter(prompt.scene.kind for prompt in chosen) == {kind: 40 for kind in KINDS}
    for kind in KINDS:
        seen = Counter(prompt.composition for prompt in chosen if prompt.scene.kind == kind)
        assert max(seen.values()) - min(seen.values()) <= 1


def test_the_compositions_are_those_of_the_world() -> None:
    rng = random.Random(0)
    for kind in KINDS:
        seen = {pseudo_train.composition_of(sample_scene(rng, "train", kind)) for _ in range(300)}
        assert seen == set(pseudo_train.compositions(kind))


def test_every_prompt_can_be_planned_and_has_a_key_of_its_own(chosen: list[pseudo_train.Prompt]) -> None:
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

    monkeypatch.setattr(pseudo_train, "plan", refuses_every_other)
    assert len(pseudo_train.training_prompts(12)) == 12
    assert len(calls) >= 24


def test_filling_a_memory_and_going_on(chosen: list[pseudo_train.Prompt], tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")

    def fill(count: int) -> int:
        return pseudo_train.fill(chosen[:count], settings, model="emojiworld-wan", device="cpu")

    assert fill(2) == 2
    with Store(tmp_path / "memory", read_only=True) as store:
        entries = list(store.entries())
    assert [entry.prompt for entry in entries] == [prompt.text for prompt in chosen[:2]]
    assert [entry.key for entry in entries] == [prompt.key for prompt in chosen[:2]]
    assert fill(2) == 0
    assert fill(3) == 1
    assert pseudo_train.remembered(tmp_path / "memory") == {prompt.text for prompt in chosen[:3]}


def test_an_interruption_loses_the_prompt_in_the_works_only(
    chosen: list[pseudo_train.Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    remember = pseudo_train.remember

    def interrupted(text: str, *arguments: object) -> None:
        if text == chosen[1].text:
            raise KeyboardInterrupt
        remember(text, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(pseudo_train, "remember", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pseudo_train.fill(chosen[:2], settings, model="emojiworld-wan", device="cpu")
    assert pseudo_train.remembered(tmp_path / "memory") == {chosen[0].text}
    assert pseudo_train.fill(chosen[:2], settings, model="emojiworld-wan", device="cpu") == 1


@pytest.mark.slow
def test_workers_share_the_memory(chosen: list[pseudo_train.Prompt], tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    assert pseudo_train.fill(chosen[:4], settings, model="emojiworld-wan", device="cpu", workers=2) == 4
    assert pseudo_train.remembered(tmp_path / "memory") == {prompt.text for prompt in chosen[:4]}
    with pytest.raises(UserError, match="rank 2"):
        other = replace(settings, adapter=AdapterConfig(rank=4, alpha=4.0))
        pseudo_train.fill(chosen[4:6], other, model="emojiworld-wan", device="cpu", workers=2)


def test_settings_are_the_presets_but_for_the_memory(tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(emojiworld(), tmp_path)
    assert replace(settings, memory=emojiworld().memory) == emojiworld()
    assert (settings.memory.path, settings.memory.threshold) == (str(tmp_path), 1.0)
