"""Keys of three kinds: one vector of one size, and one clear error for a memory of another kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.memory.memories import SIGNATURE, contents, memory_of_version_2, old_memory
from tests.memory.test_forgetting import Blind, adapter
from ttom.config import MemoryConfig
from ttom.errors import UserError
from ttom.layout.rules.planner import plan
from ttom.memory import maintenance
from ttom.memory.descriptor import DIMENSION
from ttom.memory.key_maker import KeyMaker, KeyTerms
from ttom.memory.memory import Memory
from ttom.memory.query import Query
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store

LEFT, RIGHT = "A dog to the left of a tree", "A dog on the right of a tree"
BLIND = Blind(0.0)


def query(prompt: str) -> Query:
    return Query(prompt, plan(prompt, aspect=1.5, seed=0))


def opened(folder: Path, **changes: Any) -> Memory:
    return Memory.open(MemoryConfig(path=str(folder), dtype="float32", **changes), BLIND, SIGNATURE)


def filled(folder: Path, **changes: Any) -> Path:
    memory = opened(folder, **changes)
    asked = query(LEFT)
    memory.look_up(asked.prompt, asked.layout).keep(adapter(1.0), (1.0, 0.5))
    memory.close()
    return folder


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_both_weighs_text_and_layout(share: float) -> None:
    one, other = query(LEFT), query("Two cats and three dogs")
    keys, spread = KeyMaker(Blind(0.3), "both", share), Blind(0.3)
    texts = spread.embed([one.key, other.key])
    wanted = (1 - share) * float(texts[0] @ texts[1]) + share * float(one.descriptor @ other.descriptor)
    assert keys.of(one) @ keys.of(other) == pytest.approx(wanted, abs=1e-5)
    for prompt in (LEFT, "A cat", "Two cats and three dogs", "A cat, a dog, a bird, a car, a tree and a boat"):
        found = keys.of(query(prompt))
        assert found.shape == (keys.dimension,) == (4 + DIMENSION,) and np.linalg.norm(found) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["text", "layout", "both"])
def test_the_identity_says_what_the_keys_are_made_of(kind: Any) -> None:
    keys = KeyMaker(BLIND, kind, 0.25)
    terms = KeyTerms.of(keys.identity)
    assert terms.kind == kind and terms.embedder == (None if kind == "layout" else "blind")
    assert kind != "both" or terms.layout_share == 0.25
    assert keys.of(query(LEFT)).shape == (keys.dimension,)


def test_a_new_memory_tells_opposites_apart_that_its_text_embedder_does_not(tmp_path: Path) -> None:
    memory = opened(filled(tmp_path / "m"))
    assert memory.keys.kind == "both"
    for prompt, hit in ((LEFT, True), ("An old horse to the left of a red car", True), (RIGHT, False)):
        asked = query(prompt)
        assert (memory.look_up(asked.prompt, asked.layout).state is not None) is hit
    memory.close()
    texts = opened(filled(tmp_path / "t", key="text"))
    assert texts.match(query(RIGHT))


@pytest.mark.parametrize(("made", "asked"), [("text", "both"), ("both", "layout"), ("layout", "text")])
def test_a_memory_of_another_kind_is_one_clear_error(tmp_path: Path, made: Any, asked: Any) -> None:
    folder = filled(tmp_path / "m", key=made)
    before = contents(folder)
    with pytest.raises(UserError, match=f"keys of the kind {made}") as caught:
        opened(folder, key=asked, mode="read")
    assert asked in str(caught.value) and "reindex" in str(caught.value) and contents(folder) == before
    memory = opened(folder)
    assert memory.keys.kind == made and memory.match(query(LEFT))
    memory.close()


def test_another_share_is_refused_and_the_memorys_own_is_the_default(tmp_path: Path) -> None:
    folder = filled(tmp_path / "m", layout_share=0.3)
    assert opened(folder).keys.layout_share == 0.3
    with pytest.raises(UserError, match="both:1:0.3:blind"):
        opened(folder, layout_share=0.4)


@pytest.mark.parametrize("share", [1e-6, 0.00002, 0.5, 0.999999])
def test_a_memory_of_any_share_opens_again(tmp_path: Path, share: float) -> None:
    """Python writes small numbers as 1e-05, which was read as the name of a text embedder."""
    folder = filled(tmp_path / "m", layout_share=share)
    keys = opened(folder).keys
    assert (keys.kind, keys.layout_share) == ("both", share)


def test_reindex_converts_a_memory_of_texts_and_back(tmp_path: Path) -> None:
    folder = filled(tmp_path / "m", key="text")
    assert maintenance.without_layout(folder) == 0
    assert maintenance.reindex(folder, KeyMaker(BLIND, "both")) == 1
    memory = opened(folder)
    assert memory.keys.kind == "both" and memory.match(query(LEFT)) and not memory.match(query(RIGHT))
    memory.close()
    assert maintenance.verify(folder).clean
    assert rebuild(folder).reindex is False
    assert maintenance.reindex(folder, BLIND) == 1
    assert opened(folder, key="text").match(query(RIGHT))


@pytest.mark.parametrize("version", [1, 2])
def test_memories_without_layouts_keep_their_text_keys(tmp_path: Path, version: int) -> None:
    folder = old_memory(tmp_path, orphan=False) if version == 1 else memory_of_version_2(tmp_path)
    with Store(folder, read_only=True) as store:
        assert KeyTerms.of(store.embedder).kind == "text"
    assert maintenance.without_layout(folder) > 0
    before = contents(folder)
    with pytest.raises(UserError, match="no layout"):
        maintenance.reindex(folder, KeyMaker(BLIND, "layout"))
    kept = {name: found for name, found in before.items() if name.startswith("values/")}
    assert version == 1 or kept.items() <= contents(folder).items()
    with Store(folder) as store:
        assert KeyTerms.of(store.embedder).kind == "text" and len(store.keys().ids) == len(store)


def test_format_3_is_read_and_becomes_format_4(tmp_path: Path) -> None:
    folder = filled(tmp_path / "m", key="text")
    meta = folder / "memory.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"version": 3}))
    before = contents(folder)
    frozen = opened(folder, mode="read")
    assert frozen.match(query(LEFT)) and contents(folder) == before
    frozen.close()
    opened(folder).close()
    assert json.loads(meta.read_text())["version"] == 4
