"""As much as possible is read of what is left, and what cannot be read is named."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.memory.memories import (
    new,
    old_memory,
    put,
)
from ttom.memory import files, salvage
from ttom.memory.store import Store
from ttom.memory.value_format import decode
from ttom.memory.values import ValueFolder


def test_the_rows_of_an_intact_and_of_a_damaged_database(store: Store) -> None:
    ids = [put(store, i, prompt=f"{'x' * 3000} {i}") for i in range(6)]
    store.used(ids[:1])
    store.delete([put(store, 9)])
    store.close()
    found = salvage.read_old(store.folder)
    assert found.intact and [row.id for row in found.rows] == ids and found.rows[0].uses == 1 and found.last_id == 7
    path = store.folder / "entries.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE entries SET layout = '{' WHERE id = 2")
    found = salvage.read_old(store.folder)
    assert found.intact and [row.id for row in found.rows] == [1, 3, 4, 5, 6]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = salvage.read_old(store.folder)
    assert not found.intact and len(found.rows) < 6
    path.unlink()
    assert salvage.read_old(store.folder) == salvage.OldRows()


def test_values_are_sorted_by_what_can_be_made_of_them(tmp_path: Path) -> None:
    folder = old_memory(tmp_path)
    rows = salvage.read_old(folder).rows
    damaged = folder / "values" / rows[1].sha256[:2] / f"{rows[1].sha256}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    look = salvage.look_through(ValueFolder(folder), rows, set(), "e")
    assert {good.row.id for good in look.found if good.row} == {1, 3, 4} and len(look.found) == 3
    assert list(look.damaged) == [rows[1].sha256] and "changed" in look.damaged[rows[1].sha256]
    assert look.outdated == {rows[0].sha256, rows[2].sha256} and len(look.upgraded) == 3
    assert [sha256[:4] for sha256 in look.unknown] == ["6bff"]
    for good in look.found:  # each is there in its new form, with its record
        value = decode(ValueFolder(folder).read(good.sha256))
        assert value.stored is not None and value.stored.record.differs(good.row) is None
    look = salvage.look_through(ValueFolder(folder), [], {rows[0].sha256}, "e")
    assert rows[0].sha256 not in look.unknown and not look.outdated and len(look.found) == 3


def test_without_memory_json_most_values_say_whose_keys_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    for embedder, count in (("a", 1), ("b", 2)):
        with new(tmp_path / embedder, embedder=embedder) as store:
            for i in range(count):
                put(store, i, prompt=embedder)
        shutil.copytree(tmp_path / embedder, folder, dirs_exist_ok=True)
    (folder / "memory.json").unlink()
    assert salvage.embedder_of(folder, ValueFolder(folder)) == ("b", 4)
    files.write_meta(folder, "a", 4)
    assert salvage.embedder_of(folder, ValueFolder(folder)) == ("a", 4)
