"""Filling a memory from generated prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from eval.worker import Job, NotMade, Optimized
from experiments.emojiworld import pseudo_train
from tests.eval.fake_worker import LORA_A, LORA_B, FakeWorker
from ttom import UserError
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts
from ttom.memory.store import Store
from ttom.parallel import Devices, MakeWorker
from ttom.presets import emojiworld

TINY = Settings(
    sampler=SamplerConfig(steps=2, guidance_scale=1.0, frames=5, height=32, width=48, max_sequence_length=64),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(0,), lr=5e-3, guided_steps=1, iterations=2),
)


@pytest.fixture(scope="module")
def chosen() -> list[TrainingPrompt]:
    return training_prompts(6)


def fill(
    chosen: list[TrainingPrompt], settings: Settings, make_worker: MakeWorker | None = None, count: int = 1
) -> int:
    devices = Devices(count, device="cpu")
    return pseudo_train.fill(chosen, settings, model="emojiworld-wan", devices=devices, make_worker=make_worker)


def test_filling_a_memory_and_going_on(chosen: list[TrainingPrompt], tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    assert fill(chosen[:2], settings) == 2
    with Store(tmp_path / "memory", read_only=True) as store:
        entries = list(store.entries())
    assert [entry.prompt for entry in entries] == [prompt.text for prompt in chosen[:2]]
    assert [entry.key for entry in entries] == [prompt.key for prompt in chosen[:2]]
    assert fill(chosen[:2], settings) == 0
    assert fill(chosen[:3], settings) == 1
    assert pseudo_train.remembered(tmp_path / "memory") == {prompt.text for prompt in chosen[:3]}
    with pytest.raises(UserError, match="rank 2"):
        fill(chosen[3:4], replace(settings, adapter=AdapterConfig(rank=4, alpha=4.0)))


@dataclass(frozen=True)
class Fakes:
    """Makes workers that optimize nothing; the number "once" fails, the number "stops" interrupts."""

    fails: int = -1
    stops: int = -1

    def __call__(self, device: str) -> FakeOptimizer:
        return FakeOptimizer(self)


class FakeOptimizer(FakeWorker):
    def __init__(self, fakes: Fakes) -> None:
        self.fakes = fakes

    def optimize(self, job: Job) -> Optimized | NotMade:
        if job.case.seed == self.fakes.stops:
            raise KeyboardInterrupt
        if job.case.seed == self.fakes.fails:
            return NotMade("failed", "out of luck")
        adapter = {LORA_A: torch.full((2, 3), float(job.case.seed)), LORA_B: torch.ones(4, 2)}
        return Optimized(adapter, (0.5, 0.1))


def test_an_interruption_loses_the_prompt_in_the_works_only(chosen: list[TrainingPrompt], tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    with pytest.raises(KeyboardInterrupt):
        fill(chosen, settings, Fakes(stops=2))
    assert pseudo_train.remembered(tmp_path / "memory") == {prompt.text for prompt in chosen[:2]}
    assert fill(chosen, settings, Fakes()) == 4


def test_a_prompt_that_fails_does_not_stop_the_others(chosen: list[TrainingPrompt], tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    with pytest.raises(UserError, match="1 of 6 prompts could not be made; .*out of luck"):
        fill(chosen, settings, Fakes(fails=3))
    assert len(pseudo_train.remembered(tmp_path / "memory")) == 5
    assert fill(chosen, settings, Fakes()) == 1


def test_actors_share_a_memory(chosen: list[TrainingPrompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = pseudo_train.memory_settings(TINY, tmp_path / "memory")
    assert fill(chosen, settings, Fakes(), count=2) == 6
    with Store(tmp_path / "memory", read_only=True) as store:
        values = {entry.prompt: float(store.state(entry)[LORA_A][0, 0]) for entry in store.entries()}
    assert values == {prompt.text: prompt.number for prompt in chosen}


def test_settings_are_the_presets_but_for_the_memory(tmp_path: Path) -> None:
    settings = pseudo_train.memory_settings(emojiworld(), tmp_path)
    assert replace(settings, memory=emojiworld().memory) == emojiworld()
    assert (settings.memory.path, settings.memory.threshold) == (str(tmp_path), 1.0)


def test_shards_together_have_all_prompts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str | None, list[int]]] = []

    def fill(chosen: list[TrainingPrompt], settings: Settings, **_: object) -> int:
        seen.append((settings.memory.path, [prompt.number for prompt in chosen]))
        return len(chosen)

    monkeypatch.setattr(pseudo_train, "fill", fill)
    for part in ("1/2", "2/2"):
        call = ["--memory", str(tmp_path / part[0]), "--count", "5", "--shard", part, "--device", "cpu"]
        assert pseudo_train.main(call) == 0
    assert [path for path, _ in seen] == [str(tmp_path / "1"), str(tmp_path / "2")]
    assert sorted(seen[0][1] + seen[1][1]) == [prompt.number for prompt in training_prompts(5)]
    assert "3 new entries" in capsys.readouterr().out
    for options in (["--shard", "3/2"], ["--shard", "1/2", "--llm", "some"]):
        assert pseudo_train.main(["--memory", str(tmp_path / "m"), *options]) == 2
        assert "shard" in capsys.readouterr().err
