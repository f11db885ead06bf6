"""The store keeps what it acknowledged, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.memory.memories import SIGNATURE, VECTOR, contents, file_of, get, new, number, put, state
from ttom.errors import UserError
from ttom.memory import files
from ttom.memory.entries import CorruptValue, new_record
from ttom.memory.files import DamagedMemory
from ttom.memory.quarantine import take_out_entry
from ttom.memory.store import Store


def test_what_is_inserted_reads_back(store: Store) -> None:
    tensors = {
        "blocks.0.attn2.to_q.lora_A.weight": torch.randn(2, 3).bfloat16(),
        "blocks.0.attn2.to_q.lora_B.weight": torch.randn(5, 2),
    }
    layout = {"version": 1, "objects": []}
    record = new_record(
        key="k", prompt="p", embedding=VECTOR, signature=SIGNATURE, namespace="me", layout=layout, loss_before=0.5,
        loss_after=0.01, origin="row 7",
    )  # fmt: skip
    id_ = store.insert(tensors, record)
    with Store(store.folder) as again:
        entry = get(again, id_)
        assert (entry.namespace, entry.key, entry.prompt, entry.layout) == ("me", "k", "p", layout)
        assert (entry.loss_before, entry.loss_after, entry.uses, entry.origin) == (0.5, 0.01, 0, "row 7")
        assert entry.signature == SIGNATURE
        np.testing.assert_array_equal(entry.embedding, VECTOR)
        read = again.state(entry)
        assert read.keys() == tensors.keys()
        assert all(read[name].dtype == t.dtype and torch.equal(read[name], t) for name, t in tensors.items())
        assert entry.bytes == again.values.path(entry.sha256).stat().st_size == again.total_bytes()


def test_an_id_is_never_used_twice(store: Store) -> None:
    first, second = put(store), put(store)
    assert store.delete([first, 999, second, second]) == [first, second]
    assert not store.values.look_through().values and put(store) == 3


def test_replacing_changes_the_value_and_removes_the_old_one(store: Store) -> None:
    id_ = put(store)
    old = file_of(store, id_)
    assert store.replace(id_, state(2), loss_after=0.25)
    assert number(store, get(store, id_)) == 2 and get(store, id_).loss_after == 0.25
    assert not old.exists() and len(store.values.look_through().values) == 1
    assert not store.replace(77, state(3), loss_after=None)


def test_what_a_repeated_job_inserts_takes_the_place_of_its_first(store: Store) -> None:
    first = put(store, 1, origin="row 1")
    other = put(store, 2, origin="row 2"), put(store, 3), put(store, 4, origin="row 1", namespace="other")
    again = put(store, 5, origin="row 1")
    assert store.ids() == [*other, again] and first not in store.ids()
    assert len(store.values.look_through().values) == 4


def test_fields_that_cannot_be_stored_are_refused_before_anything_is_written(store: Store) -> None:
    for wrong in (
        {"prompt": "x" * 100_000},
        {"key": "a\x00b"},
        {"prompt": "\ud800"},
        {"namespace": " "},
        {"embedding": np.full(4, np.nan, np.float32)},
        {"embedding": 2 * VECTOR},
        {"layout": {"long": "x" * 9_000_000}},
    ):
        with pytest.raises(UserError, match="cannot store this") as caught:
            put(store, **wrong)
        assert len(str(caught.value)) < 1000
    assert len(store) == 0 and not store.values.look_through().values


@pytest.mark.parametrize("tensors", [{}, state(float("nan")), state(float("inf")), {"a": np.ones(3, np.float32)}])
def test_tensors_that_could_not_be_read_again_are_refused(store: Store, tensors: dict[str, np.ndarray]) -> None:
    id_ = put(store)
    record = new_record(key="k", prompt="p", embedding=VECTOR, signature=SIGNATURE)
    with pytest.raises(UserError, match="cannot store this"):
        store.insert(tensors, record)
    with pytest.raises(UserError, match="cannot store this"):
        store.replace(id_, tensors, loss_after=None)
    assert store.ids() == [id_] and len(store.values.look_through().values) == 1


def test_a_row_that_is_not_the_one_of_its_value_is_noticed(store: Store) -> None:
    id_ = put(store)
    store.db.execute("UPDATE entries SET prompt = 'another'")
    with pytest.raises(DamagedMemory, match="prompt of entry 1"):
        store.state(get(store, id_))


def test_read_only_changes_not_a_byte(store: Store) -> None:
    id_ = put(store)
    bad = put(store)
    file_of(store, bad).write_bytes(b"BAD")
    (store.folder / "values" / "00").mkdir(exist_ok=True)
    (store.folder / "values" / "00" / "orphan.safetensors").write_bytes(b"x")
    before = contents(store.folder)
    with Store(store.folder, read_only=True) as frozen:
        assert frozen.ids() == [id_, bad] and number(frozen, get(frozen, id_)) == 1
    assert contents(store.folder) == before
    store.close()
    before = contents(store.folder)
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2
    assert contents(store.folder) == before


def test_a_folder_that_cannot_be_written_is_one_clear_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    monkeypatch.setattr("ttom.memory.database.os.access", lambda *_: False)
    with pytest.raises(UserError, match="mode=read"):
        Store(store.folder)
    assert len(Store(store.folder, read_only=True)) == 1


def test_folders_that_are_no_memory(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="is not a memory"):
        Store(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(UserError, match="is not a memory"):
        new(tmp_path / "other")
    meta = store.folder / "memory.json"
    good = json.loads(meta.read_text())
    meta.write_text(json.dumps({**good, "version": files.VERSION + 1}))
    with pytest.raises(UserError, match="newer ttom"):
        Store(store.folder)
    for text in (
        "{",
        "[]",
        "{}",
        "[" * 50_000,
        json.dumps({**good, "dimension": "4"}),
        json.dumps({**good, "format": "x"}),
    ):
        meta.write_text(text)
        with pytest.raises(UserError, match="does not describe a memory"):
            Store(store.folder)
    meta.unlink()
    os.mkfifo(meta)
    with pytest.raises(UserError, match="cannot be read"):
        Store(store.folder)


# Nothing but the store's own files is ever removed


def test_links_are_never_followed(store: Store, tmp_path: Path) -> None:
    """With values/zz a link to another folder, `ttom memory verify` deleted every file there."""
    id_ = put(store)
    outside = tmp_path / "outside"
    outside.mkdir()
    names = ["data.csv", f"{'ab' * 32}.safetensors", f".part-{'ab' * 32}-{'0' * 16}", ".part-999999-0123456789ab"]
    for name in names:
        (outside / name).write_text("mine")
    for link in ("zz", "ab"):
        (store.folder / "values" / link).symlink_to(outside)
    store.close()
    with Store(store.folder) as again:
        assert again.ids() == [id_]
        again.values.remove("cd" * 32)
        for act in (again.values.remove, again.values.quarantine, again.values.read):
            with pytest.raises((OSError, CorruptValue)):
                act("ab" * 32)
        again.delete([id_])
    assert sorted(f.name for f in outside.iterdir()) == sorted(names)


def test_a_link_in_place_of_the_values_is_refused(store: Store, tmp_path: Path) -> None:
    put(store)
    store.close()
    (store.folder / "values").rename(tmp_path / "elsewhere")
    (store.folder / "values").symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a symbolic link in place of"):
        Store(store.folder)
    assert contents(tmp_path / "elsewhere") == before


# What processes that were killed leave


# A database that was lost or damaged stops writers, and nothing is removed


# Version 1


def test_a_store_that_is_open_for_reading_writes_nothing(tmp_path: Path) -> None:
    """The guards were asserts, which `python -O` leaves out."""
    with new(tmp_path / "m") as store:
        put(store)
        with pytest.raises(ValueError, match="open for writing"):
            store.refresh()
        with pytest.raises(ValueError, match="an embedding of shape"):
            put(store, embedding=np.eye(1, 5, dtype=np.float32)[0])
    before = contents(tmp_path / "m")
    with Store(tmp_path / "m", read_only=True) as store:
        entry = get(store, 1)
        for write in (
            lambda: put(store), lambda: store.delete([1]), lambda: store.used([1]),
            lambda: take_out_entry(store, entry, ""), lambda: store.replace(1, state(2), loss_after=0.0),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="open for reading"):
                write()
    assert contents(tmp_path / "m") == before
