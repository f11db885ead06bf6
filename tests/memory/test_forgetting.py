"""Appendix D.3 of the paper: what is optimized for one prompt never changes what another one reads."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.memory.memories import MODULE, SIGNATURE
from ttom.config import MemoryConfig
from ttom.layout.rules.planner import plan
from ttom.memory.memory import Lookup, Memory
from ttom.memory.query import Query

A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"
PROMPTS = [
    "A dog to the left of a tree",
    "A dog on the right of a tree",
    "A bird above a car",
    "A bird below a car",
    "A car moves from left to right",
    "A car moves from right to left",
    "Two dogs",
    "Three dogs",
    "A cat",
]


class Blind:
    """An embedder to which all texts are nearly or exactly alike, as opposites are to real ones."""

    identity, dimension = "blind", 4

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            away = np.random.default_rng(sum(map(ord, text))).normal(size=4)
            row = np.array([1.0, 0, 0, 0]) + self.spread * away
            rows.append(row / np.linalg.norm(row))
        return np.stack(rows).astype(np.float32)


def look_up(memory: Memory, prompt: str, seed: int = 0) -> Lookup:
    return memory.look_up(prompt, plan(prompt, aspect=1.5, seed=seed))


def adapter(number: float) -> dict[str, torch.Tensor]:
    return {A: torch.full((2, 6), number), B: torch.ones(5, 2)}


def optimize(memory: Memory, prompt: str, number: float) -> dict[str, Any]:
    return look_up(memory, prompt).keep(adapter(number), (1.0, 0.5))


@pytest.mark.parametrize("top_k", [1, 5])
@pytest.mark.parametrize("update", ["replace", "merge"])
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_a_stream_of_prompts_never_changes_what_another_one_reads(
    tmp_path: Path, top_k: int, update: Any, spread: float
) -> None:
    """Also where the text key takes every prompt for every other one."""
    config = MemoryConfig(
        path=str(tmp_path / "m"), threshold=-1.0, top_k=top_k, update=update, dtype="float32", key="text"
    )
    memory, numbers, dice = Memory.open(config, Blind(spread), SIGNATURE), count(1), random.Random(0)
    stored: dict[str, float] = {}
    for _ in range(40):
        prompt = dice.choice(PROMPTS)
        report = optimize(memory, prompt, number := float(next(numbers)))
        if prompt in stored:
            assert report["inserted"] is None and len(report["updated"]) == 1
        else:
            assert report["inserted"] is not None and report["updated"] == []
        values = {entry.prompt: memory.store.state(entry) for entry in memory.store.entries()}
        assert values.keys() == stored.keys() | {prompt}
        for other in stored.keys() - {prompt}:
            assert float(values[other][A][0, 0]) == stored[other]
            own = look_up(memory, other).recalled.own
            assert own is not None and own.entry.prompt == other
            if top_k == 1:
                state = look_up(memory, other).state
                assert state is not None and float(state[A][0, 0]) == stored[other]
        stored[prompt] = float(values[prompt][A][0, 0])
        assert update == "merge" or stored[prompt] == number


def test_other_nouns_in_the_same_places_update_one_entry(tmp_path: Path) -> None:
    config = MemoryConfig(path=str(tmp_path / "m"), threshold=0.9, dtype="float32", key="text")
    memory = Memory.open(config, Blind(0.0), SIGNATURE)
    assert optimize(memory, "A dog to the left of a tree", 1.0)["inserted"] == 1
    assert optimize(memory, "A horse to the left of a car", 2.0)["updated"] == [1]
    assert optimize(memory, "A horse to the right of a car", 3.0)["inserted"] == 2


def test_an_entry_without_a_layout_is_read_but_not_changed(tmp_path: Path) -> None:
    config = MemoryConfig(path=str(tmp_path / "m"), threshold=0.5, dtype="float32", key="text")
    memory = Memory.open(config, Blind(0.0), SIGNATURE)
    optimize(memory, "A cat", 1.0)
    memory.store.db.execute("UPDATE entries SET layout = NULL")
    entry = next(memory.store.entries())
    assert Query("A cat", plan("A cat", aspect=1.5)).same_composition([entry]) is None
    memory.close()


def test_an_entry_that_is_gone_is_inserted_anew(tmp_path: Path) -> None:
    config = MemoryConfig(path=str(tmp_path / "m"), threshold=0.5, dtype="float32", key="text")
    memory = Memory.open(config, Blind(0.0), SIGNATURE)
    optimize(memory, "A cat", 1.0)
    again = look_up(memory, "A cat")
    memory.store.delete([1])
    report = again.keep(adapter(2.0), (1.0, 0.5))
    assert report["updated"] == [] and report["inserted"] == 2
