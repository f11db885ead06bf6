"""Merging memories, also those of people who mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.faults import old, poison, small
from tests.memory.memories import MODULE, OTHER, SIGNATURE, contents, file_of, get, new, number, old_memory, put
from ttom.errors import UserError
from ttom.memory import maintenance
from ttom.memory.merging import common_shapes, merge
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store
from ttom.memory.values import ValueFolder


def test_merging_keeps_everything_though_ids_collide(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "b") as b:
        put(a, 1, prompt="p1", loss_before=0.5, loss_after=0.1, origin="row 1")
        put(a, 2, prompt="p2", namespace="me")
        put(b, 3, prompt="p3")
        a.used([1])
        a.used([1])
        b.take(get(a, 2), file_of(a, 2).read_bytes())
    before = contents(tmp_path / "a"), contents(tmp_path / "b")
    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (done.copied, done.present, done.damaged) == (3, 1, ())
    with Store(tmp_path / "c") as c:
        entries = {entry.prompt: entry for entry in c.entries()}
        assert {p: number(c, e) for p, e in entries.items()} == {"p1": 1, "p2": 2, "p3": 3}
        first = entries["p1"]
        assert (first.uses, first.loss_before, first.loss_after, first.origin) == (2, 0.5, 0.1, "row 1")
        assert entries["p2"].namespace == "me"
    assert maintenance.verify(tmp_path / "c").clean
    assert (contents(tmp_path / "a"), contents(tmp_path / "b")) == before
    again = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (again.copied, again.present) == (0, 4)


def test_an_old_memory_is_merged_twice_without_copies(tmp_path: Path) -> None:
    source = old_memory(tmp_path)
    before = contents(source)
    first, second = (merge([source], tmp_path / "c") for _ in range(2))
    assert (first.copied, first.damaged, second.copied, second.present) == (4, (), 0, 4)
    assert contents(source) == before and maintenance.verify(tmp_path / "c").entries == 4


def test_an_old_memory_is_merged_with_records(tmp_path: Path) -> None:
    """Without its database the merged memory was once empty, and `verify --repair` removed the values."""
    source = old_memory(tmp_path)
    merge([source], tmp_path / "c")
    (tmp_path / "c" / "entries.sqlite").unlink()
    assert rebuild(tmp_path / "c").entries == 4
    assert old.entries(tmp_path / "c") == old.entries(source) and maintenance.verify(tmp_path / "c").clean
    assert merge([source], tmp_path / "c").present == 4


def test_merging_leaves_damaged_entries_out(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a:
        put(a, 1, prompt="good")
        bad = put(a, 2, prompt="bad")
        file_of(a, bad).write_bytes(b"BAD")
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 1 and [(folder, id_) for folder, id_, _ in done.damaged] == [(tmp_path / "a", bad)]


@pytest.mark.parametrize("difference", ["embedder", "signature"])
def test_memories_that_do_not_fit_are_not_merged(tmp_path: Path, difference: str) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "b", embedder="f" if difference == "embedder" else "e") as b:
        put(a)
        put(b, signature=OTHER if difference == "signature" else SIGNATURE)
    with pytest.raises(UserError) as caught:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    named = ("embedder f", ": e (dim") if difference == "embedder" else (str(OTHER), str(SIGNATURE))
    assert str(tmp_path / "b") in str(caught.value) and all(name in str(caught.value) for name in named)
    assert not (tmp_path / "c").exists()
    with pytest.raises(UserError, match="nothing to merge"):
        merge([tmp_path / "a"], tmp_path / "a")


def test_an_interrupted_merge_ends_the_same_when_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in enumerate("ab"):
        with new(tmp_path / name) as store:
            for i in range(4):
                put(store, 10 * place + i)
    sources, take, calls = [tmp_path / "a", tmp_path / "b"], Store.take, iter(range(100))

    def interrupted(self: Store, *arguments: Any) -> int | None:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return take(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "take", interrupted)
        merge(sources, tmp_path / "c")
    done = merge([*sources, tmp_path / "c"], tmp_path / "c")
    assert (done.copied, done.present, done.damaged) == (3, 5, ())
    with Store(tmp_path / "c") as c:
        assert sorted(number(c, entry) for entry in c.entries()) == [0, 1, 2, 3, 10, 11, 12, 13]


# Poison: of each kind some once did harm


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody else's memory with four entries."""
    with small.create(tmp_path / "foreign") as store:
        for i in poison.THEIRS:
            small.insert(store, i)
    return tmp_path / "foreign"


@pytest.mark.parametrize("kind", poison.VALUES)
def test_values_that_nobody_could_load_are_left_out(tmp_path: Path, foreign: Path, kind: str) -> None:
    poison.give_value(foreign, poison.VALUES[kind](foreign, small.tensors(0)))
    done = merge([foreign], tmp_path / "c")
    assert done.copied == 3 and [id_ for _, id_, _ in done.damaged] == [1]
    assert len(done.damaged[0][2]) < 400
    assert small.intact(tmp_path / "c") == {3, 6, 9}
    with Store(tmp_path / "c") as c:
        assert len(c.values.look_through().values) == 3


@pytest.mark.parametrize("change", poison.ROWS)
def test_rows_that_no_memory_writes_are_left_out(tmp_path: Path, foreign: Path, change: str) -> None:
    poison.change_row(foreign, change)
    if "rank" in change:  # a signature like any other, but not that of the rest
        with pytest.raises(UserError, match="holds adapters of"):
            merge([foreign], tmp_path / "c")
        return
    done = merge([foreign], tmp_path / "c")
    assert done.copied == 3 and [id_ for _, id_, _ in done.damaged] == [1]
    assert small.intact(tmp_path / "c") == {3, 6, 9} and maintenance.verify(tmp_path / "c").entries == 3
    # One merged entry once grew the target's database to 410 MB.
    assert sum(f.stat().st_size for f in (tmp_path / "c").rglob("*.sqlite*")) < 1_000_000


@pytest.mark.parametrize("statements", poison.SCHEMAS)
def test_a_database_with_more_than_a_memorys_tables_is_refused(tmp_path: Path, foreign: Path, statements: str) -> None:
    with small.create(tmp_path / "c") as c:
        small.insert(c, 300)
    poison.execute(foreign, statements)
    with pytest.raises(UserError, match="foreign schema|has an empty database"):
        merge([foreign], tmp_path / "c")
    with pytest.raises(
        UserError, match="foreign schema|has an empty database"
    ):  # nor is it opened for writing, which would run triggers
        Store(foreign)
    assert small.intact(tmp_path / "c") == {300}


@pytest.mark.parametrize("name", ["memory.json", "entries.sqlite", "value"])
@pytest.mark.parametrize("kind", poison.FILES)
def test_files_that_are_none_are_not_opened(tmp_path: Path, foreign: Path, name: str, kind: str) -> None:
    """A FIFO hung the merge, /dev/zero would fill the memory."""
    with Store(foreign, read_only=True) as store:
        path = store.values.path(get(store, 1).sha256) if name == "value" else foreign / name
    path.unlink()
    poison.FILES[kind](path)
    if name == "value":
        assert merge([foreign], tmp_path / "c").copied == 3
    else:
        with pytest.raises(UserError):
            merge([foreign], tmp_path / "c")
        assert not (tmp_path / "c").exists()


def test_a_huge_description_is_not_read(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a:
        put(a)
    meta = tmp_path / "a" / "memory.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "note": "x" * 10_000_000}))
    with pytest.raises(UserError, match="cannot be read: larger"):
        merge([tmp_path / "a"], tmp_path / "c")


def test_one_wrong_value_first_does_not_make_the_others_wrong(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a:
        for i in range(4):
            put(a, i, inputs=7 if i == 0 else 6, prompt=f"p{i}")
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 3 and [id_ for _, id_, _ in done.damaged] == [1]
    assert "does not fit the model" in done.damaged[0][2]


def test_only_headers_are_read_for_the_common_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each value up to 75 MB were read, whatever its header said."""
    with new(tmp_path / "m") as store:
        for i in range(3):
            put(store, i, inputs=50_000)
        read: list[int] = []
        real = ValueFolder._read
        monkeypatch.setattr(
            ValueFolder, "_read", lambda self, sha256, size=10**9: (read.append(size), real(self, sha256, size))[1]
        )
        shapes = common_shapes([store])
        assert shapes is not None and shapes[f"{MODULE}.lora_A.weight"] == (2, 50_000)
        assert len(read) == 6 and sum(read) < 3 * 5_000
