"""Insert, read, update and delete of the parametric memory."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.memory.memories import MODULE, OTHER, SIGNATURE, contents
from ttom.config import MemoryConfig
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan
from ttom.memory.entries import new_record
from ttom.memory.memory import Lookup, Memory
from ttom.memory.quarantine import take_out_entry
from ttom.memory.query import Query
from ttom.memory.signature import Signature
from ttom.memory.store import Store
from ttom.memory.value_format import encode


class Embedder:
    """A vector a text, looked up; texts not in the table get a direction of their own."""

    dimension = 8

    def __init__(self, identity: str = "table", **table: Sequence[float]) -> None:
        self.identity, self.table = identity, table

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            row = np.zeros(8, np.float32)
            known = next((v for word, v in self.table.items() if word in text), None)
            if known is None:
                row[sum(map(ord, text)) % 8] = 1
            else:
                row[: len(known)] = known
            rows.append(row / np.linalg.norm(row))
        return np.stack(rows)


A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"
NEAR = Embedder(left=(1, 0), right=(0.8, 0.6), up=(0, 1))


def make(path: Path, embedder: Embedder = NEAR, signature: Signature | None = SIGNATURE, **changes: Any) -> Memory:
    return Memory.open(MemoryConfig(path=str(path), **{"key": "text", **changes}), embedder, signature)


def values(scale: float) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {A: torch.randn(2, 6), B: torch.randn(5, 2) * scale}


def product(state: dict[str, Tensor]) -> Tensor:
    return state[B].float() @ state[A].float()


def query(direction: str) -> Query:
    prompt = f"A cat moves {direction}"
    return Query(prompt, plan(prompt, aspect=1.5, seed=0))


def ask(memory: Memory, direction: str) -> Lookup:
    asked = query(direction)
    return memory.look_up(asked.prompt, asked.layout)


def learn(memory: Memory, direction: str, scale: float = 1.0) -> dict[str, Any]:
    return ask(memory, direction).keep(values(scale), (0.5, 0.1))


def test_without_a_match_it_inserts_and_then_reads_back(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", dtype="float32")
    first = learn(memory, "left")
    assert first["hit"] is False and first["inserted"] == 1 and first["updated"] == []
    assert first["key"] == "<object A> moves left"
    again = ask(memory, "left")
    assert again.recalled.matches[0].similarity == pytest.approx(1)
    torch.testing.assert_close(again.state, values(1.0))
    entry = again.recalled.matches[0].entry
    assert entry.prompt == "A cat moves left" and entry.loss_before == 0.5 and entry.loss_after == 0.1
    assert isinstance(Layout.model_validate(entry.layout), Layout)
    assert ask(memory, "up").state is None


def test_the_prompt_is_embedded_once_a_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text encoder that is offloaded has to be moved to the GPU each time."""
    memory, asked = make(tmp_path / "m"), []
    monkeypatch.setattr(memory.keys.embedder, "embed", lambda texts: asked.extend(texts) or Embedder().embed(texts))
    learn(memory, "left")
    assert asked == ["<object A> moves left"]


def test_a_match_below_the_threshold_is_none_and_top_k_is_best_first(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", dtype="float32", threshold=0.9)
    for scale, direction in ((1.0, "left"), (2.0, "right"), (3.0, "up")):
        assert learn(memory, direction, scale)["hit"] is False
    memory.close()
    wide = make(tmp_path / "m", threshold=0.5, top_k=5, fusion="average")
    recalled = ask(wide, "left").recalled
    assert [m.entry.key.split()[-1] for m in recalled.matches] == ["left", "right"]
    assert [m.similarity for m in recalled.matches] == pytest.approx([1, 0.8])
    torch.testing.assert_close(product(recalled.state), product(values(1.5)), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(("how", "scale"), [("replace", 3.0), ("merge", 2.0)])
def test_further_optimization_updates_the_entry(tmp_path: Path, how: Any, scale: float) -> None:
    memory = make(tmp_path / "m", dtype="float32", update=how)
    learn(memory, "left", 1.0)
    report = learn(memory, "left", 3.0)
    assert report["hit"] and report["updated"] == [1] and report["inserted"] is None and report["used"] == "init"
    state = ask(memory, "left").state
    assert state is not None
    torch.testing.assert_close(state[B], values(scale)[B])  # (1 + 1 * 3) / (1 + 1)
    assert len(memory.store) == 1 and memory.store.values.look_through().values == memory.store.needed_values()


def test_loading_without_optimization_leaves_the_entry_as_it_is(tmp_path: Path) -> None:
    learn(make(tmp_path / "m"), "left")
    report = learn(make(tmp_path / "m", use="load"), "left", 9.0)
    assert report["hit"] and report["used"] == "load" and report["updated"] == []
    assert next(Store(tmp_path / "m").entries()).uses == 1


def test_frozen_nothing_changes_not_a_byte(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", max_items=5)
    learn(memory, "left")
    learn(memory, "up", 2.0)
    memory.store.values.path(next(memory.store.entries([2])).sha256).write_bytes(b"damaged")
    memory.close()
    before = contents(tmp_path / "m")
    frozen = make(tmp_path / "m", mode="read", max_items=1)
    assert learn(frozen, "left", 7.0)["hit"]
    assert learn(frozen, "up")["hit"] is False  # its value is damaged
    assert learn(frozen, "right")["inserted"] is None
    frozen.close()
    assert contents(tmp_path / "m") == before


def test_a_damaged_value_is_quarantined_and_the_next_best_takes_its_place(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", threshold=0.5)
    for number, key in enumerate(("left", "right"), 1):
        record = new_record(key=key, prompt="p", embedding=NEAR.embed([key])[0], signature=SIGNATURE)
        memory.store.insert(memory._packed(values(float(number))), record)
    memory.store.values.path(next(memory.store.entries([1])).sha256).write_bytes(b"damaged")
    recalled = ask(memory, "left").recalled
    assert [m.entry.id for m in recalled.matches] == [2]
    assert set(memory.store.quarantined()) == {1}


def test_the_least_used_are_evicted_but_never_the_newest(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", max_items=2)
    learn(memory, "left")
    ask(memory, "left")
    learn(memory, "up")
    report = learn(memory, "right")  # unused like "up", but just made
    keys = {entry.id: entry.key.split()[-1] for entry in memory.store.entries()}
    assert set(keys.values()) == {"left", "right"} and report["inserted"] in keys
    assert ask(memory, "up").state is None and ask(memory, "left").state is not None


def test_capacity_in_bytes(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left", 1.0)
    size = memory.store.total_bytes()
    memory.close()
    small = make(tmp_path / "m", max_bytes=2 * size + 1)
    learn(small, "up", 2.0)
    assert len(small.store) == 2
    learn(small, "right", 3.0)
    assert len(small.store) == 2 and small.store.total_bytes() <= 2 * size + 1


def test_namespaces_are_apart_and_a_shared_one_is_read_but_not_written(tmp_path: Path) -> None:
    learn(make(tmp_path / "m", namespace="everyone"), "left", 1.0)
    ann = make(tmp_path / "m", namespace="ann")
    assert ask(ann, "left").state is None
    both = make(tmp_path / "m", namespace="ann", shared_namespace="everyone", dtype="float32")
    report = learn(both, "left", 5.0)
    assert report["hit"] and report["updated"] == [] and report["inserted"] == 2
    assert learn(both, "up")["inserted"] == 3
    assert {e.id: e.namespace for e in both.store.entries()} == {1: "everyone", 2: "ann", 3: "ann"}
    assert ask(both, "left").recalled.matches[0].entry.id == 2


def test_it_sees_what_another_process_writes_and_deletes(tmp_path: Path) -> None:
    ours, theirs = make(tmp_path / "m"), make(tmp_path / "m")
    assert ask(ours, "left").state is None
    inserted = learn(theirs, "left")["inserted"]
    assert ask(ours, "left").state is not None
    theirs.store.delete([inserted])
    assert ask(ours, "left").state is None


def test_an_entry_replaced_by_another_process_is_not_taken_for_damaged(tmp_path: Path) -> None:
    ours, theirs = make(tmp_path / "m"), make(tmp_path / "m")
    learn(ours, "left", 1.0)
    stale = next(ours.store.entries())
    learn(theirs, "left", 2.0)
    assert not ours.store.values.exists(stale.sha256)
    assert take_out_entry(ours.store, stale, "missing") is False
    assert ask(ours, "left").state is not None and not ours.store.quarantined()


def test_another_embedder_and_another_adapter_are_refused_with_both_named(tmp_path: Path) -> None:
    learn(make(tmp_path / "m"), "left")
    with pytest.raises(UserError) as caught:
        make(tmp_path / "m", Embedder("other embedder"))
    assert "table" in str(caught.value) and "other embedder" in str(caught.value) and "reindex" in str(caught.value)
    with pytest.raises(UserError) as caught:
        make(tmp_path / "m", signature=replace(SIGNATURE, rank=99))
    assert f"adapters of: {SIGNATURE}" in str(caught.value) and "rank 99" in str(caught.value)
    with pytest.raises(UserError, match="of another model") as caught:  # whose embedder is another one too
        make(tmp_path / "m", Embedder("other embedder"), signature=OTHER)
    assert "reindex" not in str(caught.value) and "cogvideox" in str(caught.value)
    assert make(tmp_path / "m", signature=None).match(query("left"))


@pytest.mark.parametrize("mode", ["read", "readwrite"])
def test_a_folder_that_is_no_memory(tmp_path: Path, mode: Any) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is not a memory"):
        make(tmp_path, mode=mode)
    if mode == "read":
        with pytest.raises(UserError, match="is not a memory"):
            make(tmp_path / "nothing", mode=mode)
        assert not (tmp_path / "nothing").exists()


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    good = MemoryConfig(path=str(tmp_path))
    for wrong in (
        {"threshold": 2.0},
        {"top_k": 0},
        {"max_items": 0},
        {"namespace": " "},
        {"shared_namespace": "default"},
    ):
        with pytest.raises(UserError, match="`memory."):
            replace(good, **wrong)
    assert good.active and not replace(good, mode="off").active and not MemoryConfig().active


def test_a_repeated_job_does_not_find_its_own_entry(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    prompt = "A cat moves left"
    layout = plan(prompt, aspect=1.5, seed=0)

    def job(origin: str) -> Lookup:
        return memory.look_up(prompt, layout, origin=origin, exclude_origin=origin)

    first = job("row 1").keep(values(1.0), (0.5, 0.1))
    again = job("row 1")  # the process was killed before its video was written
    assert not again.recalled.matches and again.state is None
    assert again.keep(values(2.0), (0.5, 0.1))["inserted"] != first["inserted"] and len(memory.store) == 1
    other = job("row 2")
    assert [match.entry.origin for match in other.recalled.matches] == ["row 1"]
    assert memory.look_up(prompt, layout).recalled.matches
    memory.close()
    assert not make(tmp_path / "m").look_up(prompt, layout, exclude_origin="row 1").recalled.matches


def test_a_miss_tells_how_near_it_was(tmp_path: Path) -> None:
    memory = make(tmp_path / "m", threshold=0.9)
    assert learn(memory, "left")["similarity"] is None
    report = learn(memory, "right")
    assert not report["hit"] and report["similarity"] == pytest.approx(0.8) and report["matches"] == []
    assert learn(memory, "right")["similarity"] == pytest.approx(1)
    other = make(tmp_path / "m", namespace="ann", threshold=0.9)
    assert learn(other, "left")["similarity"] is None


def poisoned(memory: Memory, direction: str, how: str) -> None:
    """An entry that matches best and whose value nobody can use, as from somebody who means harm."""
    good = values(1.0)
    embedding = NEAR.embed([direction])[0]
    id_ = memory.store.insert(good, new_record(key=direction, prompt="p", embedding=embedding, signature=SIGNATURE))
    if how not in ("layout", "embedding", "short embedding"):
        entry = next(memory.store.entries([id_]))
        states = {
            "not finite": {A: good[A], B: good[B] * float("nan")},
            "other shapes": {A: torch.randn(2, 7), B: good[B]},
            "other names": {A: good[A], B: good[B], "extra": good[B].clone()},
        }
        others = {"pickle": pickle.dumps({"a": 1}), "random bytes": bytes(range(256)) * 9, "empty": b""}
        data = others[how] if how in others else encode(states[how], entry, embedder=memory.store.embedder)
        sha256 = hashlib.sha256(data).hexdigest()
        memory.store.values.remove(entry.sha256)
        memory.store.values.path(sha256).parent.mkdir(exist_ok=True)
        memory.store.values.path(sha256).write_bytes(data)
        memory.store.db.execute("UPDATE entries SET sha256 = ? WHERE id = ?", (sha256, id_))
    elif how == "layout":
        memory.store.db.execute("UPDATE entries SET layout = '[' WHERE id = ?", (id_,))
    elif how == "embedding":
        memory.store.db.execute("UPDATE entries SET embedding = ? WHERE id = ?", (np.full(8, np.nan, np.float32), id_))
    elif how == "short embedding":
        memory.store.db.execute("UPDATE entries SET embedding = x'0000803f' WHERE id = ?", (id_,))


@pytest.mark.parametrize("mode", ["readwrite", "read"])
@pytest.mark.parametrize(
    "how",
    ["not finite", "other shapes", "other names", "pickle", "random bytes", "empty", "layout", "embedding",
     "short embedding"],
)  # fmt: skip
def test_what_cannot_be_used_is_passed_over_for_the_next_best(tmp_path: Path, mode: Any, how: str) -> None:
    shapes = {A: (2, 6), B: (5, 2)}
    fitting = replace(SIGNATURE, shapes=shapes)
    memory = make(tmp_path / "m", threshold=0.5)
    learn(memory, "right", 2.0)
    poisoned(memory, "left", how)
    memory.close()
    memory = make(tmp_path / "m", signature=fitting, threshold=0.5, mode=mode, dtype="float32")
    for _ in range(2):
        recalled = ask(memory, "left").recalled
        assert [match.entry.id for match in recalled.matches] == [1]
    if mode == "readwrite" and "embedding" not in how and how != "layout":
        assert set(memory.store.quarantined()) == {2} and memory.store.ids() == [1]


def test_a_frozen_memory_follows_an_entry_that_another_process_updates(tmp_path: Path) -> None:
    ours = make(tmp_path / "m", dtype="float32")
    learn(ours, "left", 1.0)
    frozen = make(tmp_path / "m", mode="read")
    assert ask(frozen, "left").state is not None
    for scale in (2.0, 3.0):
        learn(ours, "left", scale)
        state = ask(frozen, "left").state
        assert state is not None
        torch.testing.assert_close(state[B], values(scale)[B])
    ours.store.delete([1])
    assert ask(frozen, "left").state is None and ask(frozen, "left").state is None


def test_a_damaged_row_is_no_reason_to_take_a_good_value_out(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.store.db.execute("UPDATE entries SET prompt = 'flipped'")
    with pytest.raises(UserError, match="ttom memory rebuild"):
        ask(memory, "left")
    assert memory.store.ids() == [1]
