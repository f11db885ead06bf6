"""Filling a memory from generated prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.emojiworld import pseudo_train
from ttom import UserError
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts
from ttom.memory.store import Store
from ttom.presets import emojiworld

TINY = Settings(
    sampler=SamplerConfig(steps=2, guidance_scale=1.0, frames=5, height=32, width=48, max_sequence_length=64),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(0,), lr=5e-3, guided_steps=1, iterations=2),
)


@pytest.fixture(scope="module")
def chosen() -> list[TrainingPrompt]:
    return training_prompts(6)


def test_filling_a_memory_and_going_on(chosen: list[TrainingPrompt], tmp_path: Path) -> None:
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
    chosen: list[TrainingPrompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
def test_workers_share_the_memory(chosen: list[TrainingPrompt], tmp_path: Path) -> None:
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
