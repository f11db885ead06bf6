"""Verifying, pruning, deleting and embedding a memory anew."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.memory.memories import OTHER, SIGNATURE, contents, file_of, get, new, put
from tests.memory.test_memory import Embedder, ask, learn, make
from ttom.errors import UserError
from ttom.memory import maintenance, merging, rebuild
from ttom.memory.entries import BadRow, Entry
from ttom.memory.files import DamagedMemory
from ttom.memory.store import Store


def test_verify_quarantines_what_is_damaged_and_removes_nothing(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        good, missing, damaged, odd = (put(store, i) for i in range(4))
        file_of(store, missing).unlink()
        file_of(store, damaged).write_bytes(b"damaged")
        file_of(store, odd).unlink()
        store.db.execute("UPDATE entries SET uses = 'x' WHERE id = ?", (odd,))
    (tmp_path / "m" / "values" / "notes.txt").write_text("mine")
    files = {path.name for path in (tmp_path / "m").rglob("*") if path.is_file()}
    found = maintenance.verify(tmp_path / "m")
    assert found.entries == 1 and found.quarantined is not None
    assert found.quarantined[missing] == "its value is missing" and "changed" in found.quarantined[damaged]
    assert found.quarantined[odd].startswith("uses: ") and found.strange == ("notes.txt",)
    assert {path.name for path in (tmp_path / "m").rglob("*") if path.is_file()} >= files
    with Store(tmp_path / "m") as store:
        assert store.ids() == [good] and store.quarantined().keys() == {missing, damaged, odd}
    again = maintenance.verify(tmp_path / "m")
    assert not again.quarantined and again.entries == 1


def test_a_damaged_row_with_a_sound_value_is_a_case_for_a_rebuild(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
        store.db.execute("UPDATE entries SET uses = 'x'")
    with pytest.raises(DamagedMemory, match="damaged row: entry 1, uses"):
        maintenance.verify(tmp_path / "m")
    with Store(tmp_path / "m") as store:
        assert store.ids() == [1] and len(store.values.look_through().values) == 1


def test_verify_finds_a_damaged_database(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        ids = [put(store, i, prompt="p" * 3000) for i in range(20)]
    path = tmp_path / "m" / "entries.sqlite"
    data = bytearray(path.read_bytes())
    place = data.index(b"p" * 3000) + 100
    data[place] ^= 1  # within the text of a row: SQLite itself cannot see that
    path.write_bytes(data)
    before = contents(tmp_path / "m" / "values")
    with pytest.raises(DamagedMemory, match="the prompt of entry"):
        maintenance.verify(tmp_path / "m")
    data[4096:4200] = b"\xff" * 104  # and here it can
    path.write_bytes(data)
    with pytest.raises(DamagedMemory, match="damaged database"):
        maintenance.verify(tmp_path / "m")
    assert contents(tmp_path / "m" / "values") == before and len(before) == len(ids)


def test_pruning_evicts_the_least_used_and_keeps_what_it_must(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        ids = [put(store, i) for i in range(4)]
        store.used([ids[1]])
        assert maintenance.prune(store, max_items=2, keep=[ids[0]]) == ids[2:]
        assert store.ids() == [ids[0], ids[1]]
        assert maintenance.prune(store, max_bytes=get(store, ids[1]).bytes) == ids[:1] and store.ids() == [ids[1]]
        with pytest.raises(UserError, match="`max_items`"):
            maintenance.prune(store, max_items=0)
        for id_ in (99, 2**70, -1):
            with pytest.raises(UserError, match="does not exist"):
                maintenance.delete(store, [ids[1], id_])
        assert store.ids() == [ids[1]] and maintenance.delete(store, ids[1:2]) == ids[1:2]


DAMAGE = [
    "bytes = 4611686018427387904", "bytes = -9223372036854775808", "bytes = 'many'", "bytes = 1e300",
    "bytes = bytes + 1048576", "turn = 9223372036854775807", "turn = 4611686018427387904", "turn = 'never'",
    "turn = -1", "uses = 9223372036854775807", "uses = -5", "uses = x'00'", "sha256 = '../../victim'",
]  # fmt: skip


@pytest.mark.parametrize("change", DAMAGE)
def test_a_damaged_number_does_not_widen_what_is_deleted(tmp_path: Path, change: str) -> None:
    """A bit flipped in a number of bytes made prune delete every entry, one in a turn made all later rows invalid."""
    with new(tmp_path / "m") as store:
        ids = [put(store, i) for i in range(6)]
        size = get(store, ids[0]).bytes
        store.db.execute(f"UPDATE entries SET {change} WHERE id = ?", (ids[5],))
        assert maintenance.stats(store).bytes < 2**31 and maintenance.stats(store).entries == 6
        counted = len(store.least_used())  # one less if the row is damaged
        assert maintenance.prune(store, max_bytes=counted * size) == []
        assert maintenance.prune(store, max_items=counted) == []
        ids.append(put(store, 7))
        assert isinstance(dict(store.rows())[ids[6]], Entry)
        store.used(ids[:3])
        assert maintenance.prune(store, max_bytes=(counted - 1) * size) == ids[3:5]
        assert {ids[0], ids[1], ids[2], ids[5], ids[6]} == set(store.ids())
        assert all(isinstance(row, Entry) for id_, row in store.rows() if id_ != ids[5])


def test_a_wrong_number_of_bytes_is_found(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
        store.db.execute("UPDATE entries SET bytes = bytes + 1")
    with pytest.raises(DamagedMemory, match="the bytes of entry 1"):
        maintenance.verify(tmp_path / "m")
    rebuild.rebuild(tmp_path / "m")
    assert maintenance.verify(tmp_path / "m").clean


@pytest.mark.parametrize("namespace", ["", " ", "\n", "a\x1b[31m"])
def test_an_empty_namespace_does_not_mean_all(tmp_path: Path, namespace: str) -> None:
    with new(tmp_path / "m") as store:
        ids = [put(store, 1), put(store, 2, namespace="ann")]
        for call in (maintenance.prune, maintenance.least_needed):
            with pytest.raises(UserError, match="`namespace`"):
                call(store, max_items=1, namespace=namespace)
        with pytest.raises(UserError, match="`namespace`"):
            maintenance.newest(store, namespace=namespace)
        assert store.ids() == ids and list(store.least_used("")) == []


def test_a_damaged_row_is_shown_found_and_deleted_without_a_crash(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        good, bad = put(store), put(store, 2)
        store.db.execute("UPDATE entries SET layout = 'nonsense', created = 'x' WHERE id = ?", (bad,))
        rows = dict(maintenance.newest(store))
        assert isinstance(rows[bad], BadRow) and rows[good].id == good
        with pytest.raises(UserError, match="damaged row"):
            maintenance.find(store, bad)
        assert maintenance.stats(store).entries == 2
        assert maintenance.delete(store, [bad]) == [bad]


def test_reindexing_lets_another_embedder_in(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1), right=(0, 1))
    assert maintenance.reindex(tmp_path / "m", other) == 1
    again = make(tmp_path / "m", other)
    assert ask(again, "left").state is not None and ask(again, "right").state is None
    np.testing.assert_array_equal(next(again.store.entries()).embedding[:3], [0, 0, 1])
    learn(again, "left", 2.0)
    assert ask(again, "left").state is not None  # the updated value has the new embedding in its record
    with pytest.raises(UserError, match="reindex"):
        make(tmp_path / "m")
    again.close()
    assert maintenance.verify(tmp_path / "m").clean


def test_new_keys_do_not_make_another_models_adapters_fit(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    before = contents(tmp_path / "m")
    maintenance.check_model(tmp_path / "m", SIGNATURE.model)
    with pytest.raises(UserError, match="would not make its adapters fit"):
        maintenance.check_model(tmp_path / "m", OTHER.model)
    assert contents(tmp_path / "m") == before


def test_a_damaged_database_is_said_in_plain_words(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    sqlite3.connect(tmp_path / "m" / "entries.sqlite").executescript("DROP TABLE quarantined")
    for command in (
        lambda: maintenance.verify(tmp_path / "m"),
        lambda: merging.merge([tmp_path / "m"], tmp_path / "c"),
        lambda: Store(tmp_path / "m", read_only=True),
    ):
        with pytest.raises(DamagedMemory, match="ttom memory rebuild"):
            command()
    assert not (tmp_path / "c").exists()
