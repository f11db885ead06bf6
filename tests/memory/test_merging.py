"""Merging memories, also those of people who mean harm."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.memory.memories import MODULE, OTHER, SIGNATURE, contents, file_of, get, new, number, old_memory, put, state
from ttom.errors import UserError
from ttom.memory import maintenance
from ttom.memory.entries import Record
from ttom.memory.merging import merge
from ttom.memory.store import Store
from ttom.memory.value_format import encode


def test_merging_keeps_everything_though_ids_collide(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "b") as b:
        put(a, 1, prompt="p1", losses=(0.5, 0.1), origin="row 1")
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


# Poison: each of these once did harm


def sql(folder: Path, *statements: str) -> None:
    db = sqlite3.connect(folder / "entries.sqlite")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def give(folder: Path, data: bytes, **changes: Any) -> None:
    """A value of any bytes for the first entry, its row changed to fit."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / "values" / sha256[:2] / f"{sha256}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    sql(folder, f"UPDATE entries SET sha256 = '{sha256}', bytes = {len(data)} WHERE id = 1")


def value(folder: Path, tensors: dict[str, np.ndarray], **changes: Any) -> bytes:
    with Store(folder, read_only=True) as store:
        entry = get(store, 1)
    fields = {name: getattr(entry, name) for name in Record.model_fields}
    return encode(tensors, Record(**(fields | changes)), embedder="e")


A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"
BAD_VALUES = {
    "pickle": lambda folder: pickle.dumps({"q": 1}),
    "random bytes": lambda folder: bytes(range(256)) * 30,
    "empty": lambda folder: b"",
    "endless header": lambda folder: (2**62).to_bytes(8, "little") + b"{" * 100,
    "deep header": lambda folder: (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "not finite": lambda folder: value(folder, {**state(), A: np.full((2, 6), np.nan, np.float32)}),
    "infinite": lambda folder: value(folder, {**state(), B: np.full((5, 2), np.inf, np.float32)}),
    "other shapes": lambda folder: value(folder, state(inputs=7)),
    "other rank": lambda folder: value(folder, {A: np.ones((3, 6), np.float32), B: np.ones((5, 3), np.float32)}),
    "one half": lambda folder: value(folder, {A: state()[A]}),
    "other layer": lambda folder: value(folder, {n.replace("blocks.0", "blocks.7"): t for n, t in state().items()}),
    "integers": lambda folder: value(folder, {n: t.astype(np.int32) for n, t in state().items()}),
    "another prompt": lambda folder: value(folder, state(), prompt="another"),
    "another signature": lambda folder: value(folder, state(), signature=replace(SIGNATURE, alpha=9.0)),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_values_that_nobody_could_load_are_left_out(tmp_path: Path, kind: str) -> None:
    with new(tmp_path / "a") as a:
        for i in range(3):
            put(a, i, prompt=f"p{i}")
    give(tmp_path / "a", BAD_VALUES[kind](tmp_path / "a"))
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 2 and [id_ for _, id_, _ in done.damaged] == [1]
    assert len(done.damaged[0][2]) < 400
    with Store(tmp_path / "c") as c:
        assert [number(c, entry) for entry in c.entries()] == [1, 2]
        assert len(c.values.look_through().values) == 2


BAD_ROWS = [
    "embedding = x'00000000'",
    "embedding = x'0000c07f0000000000000000000000" + "00'",
    "embedding = x'0000c0430000000000000000000000" + "00'",
    "embedding = 'text'",
    "sha256 = '../../../victim'",
    "sha256 = 7",
    "layout = '{'",
    f"layout = '{'[' * 5000}'",
    f"layout = json_object('a', '{'x' * 2_000_000}')",
    f"prompt = '{'x' * 200_000}'",
    "prompt = x'ff00ff'",
    "key = NULL || 'x' || char(0)",
    "namespace = ' '",
    "uses = -1",
    "uses = 'many'",
    "uses = 9223372036854775807",
    "created = 'yesterday'",
    "loss_before = 9e999",
    "bytes = 5",
    "origin = ''",
]


@pytest.mark.parametrize("change", BAD_ROWS)
def test_rows_that_no_memory_writes_are_left_out(tmp_path: Path, change: str) -> None:
    with new(tmp_path / "a") as a:
        for i in range(3):
            put(a, i, prompt=f"p{i}")
    if change.startswith("key = NULL"):
        change = "key = 'x' || char(0)"
    sql(tmp_path / "a", f"UPDATE entries SET {change} WHERE id = 1")
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 2 and [id_ for _, id_, _ in done.damaged] == [1]
    assert maintenance.verify(tmp_path / "c").entries == 2


def test_a_row_of_megabytes_does_not_come_in(tmp_path: Path) -> None:
    """One such entry grew the target's database to 410 MB."""
    with new(tmp_path / "a") as a:
        put(a)
    sql(tmp_path / "a", "UPDATE entries SET prompt = hex(zeroblob(40000000))")
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 0 and done.damaged == ((tmp_path / "a", 1, "a field of megabytes"),)
    assert sum(f.stat().st_size for f in (tmp_path / "c").rglob("*.sqlite*")) < 1_000_000


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER DELETE ON entries BEGIN DELETE FROM entries; END",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN UPDATE entries SET prompt = hex(zeroblob(1000000)); END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE extra (x)",
        "CREATE INDEX i ON entries (upper(prompt))",
        "ALTER TABLE entries ADD COLUMN extra DEFAULT 1",
        "ALTER TABLE entries ADD COLUMN extra AS (upper(prompt))",
        "PRAGMA user_version = 77",
    ],
)
def test_a_database_with_more_than_a_memorys_tables_is_refused(tmp_path: Path, statement: str) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "c") as c:
        put(a)
        put(c, 2)
    sql(tmp_path / "a", statement)
    with pytest.raises(UserError, match="no memory makes"):
        merge([tmp_path / "a"], tmp_path / "c")
    with pytest.raises(UserError, match="no memory makes"):  # nor is it opened for writing, which would run triggers
        Store(tmp_path / "a")
    assert maintenance.verify(tmp_path / "c").entries == 1


def test_a_view_in_place_of_the_entries_is_refused(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a:
        put(a)
    sql(tmp_path / "a", "ALTER TABLE entries RENAME TO e2", "CREATE VIEW entries AS SELECT * FROM e2, e2 AS b")
    with pytest.raises(UserError, match="no memory makes"):
        merge([tmp_path / "a"], tmp_path / "c")


@pytest.mark.parametrize("name", ["memory.json", "entries.sqlite", "value"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "device"])
def test_files_that_are_none_are_not_opened(tmp_path: Path, name: str, kind: str) -> None:
    """A FIFO hung the merge, /dev/zero would fill the memory."""
    with new(tmp_path / "a") as a:
        put(a, 1)
        put(a, 2)
        path = file_of(a, 1) if name == "value" else tmp_path / "a" / name
    path.rename(tmp_path / "real")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "real")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    if name == "value":
        assert merge([tmp_path / "a"], tmp_path / "c").copied == 1
    else:
        with pytest.raises(UserError):
            merge([tmp_path / "a"], tmp_path / "c")
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
            a.insert(state(i, inputs=7 if i == 0 else 6), key="k", prompt=f"p{i}",
                     embedding=np.eye(4, dtype=np.float32)[0], signature=SIGNATURE)  # fmt: skip
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 3 and [id_ for _, id_, _ in done.damaged] == [1]
    assert "does not fit the model" in done.damaged[0][2]
