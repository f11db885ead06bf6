"""What is damaged is moved to quarantine and can be looked at; nothing is deleted, and nothing foreign moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.memory.memories import (
    file_of,
    get,
    old_memory,
    put,
    state,
)
from ttom.memory import maintenance, merging
from ttom.memory.entries import CorruptValue
from ttom.memory.files import DamagedMemory
from ttom.memory.quarantine import take_out_entry, take_out_row
from ttom.memory.store import Store


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: bytes([d[0] ^ 1]) + d[1:], lambda d: b""])
def test_a_damaged_value_is_found(store: Store, damage: Callable[[bytes], bytes]) -> None:
    entry = get(store, put(store))
    path = store.values.path(entry.sha256)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptValue, match="changed"):
        store.state(entry)
    assert take_out_entry(store, entry, "changed") and not store.ids() and store.quarantined() == {entry.id: "changed"}
    assert [f.name for f in (store.folder / "quarantine").iterdir()] == [path.name] and not path.exists()


@pytest.mark.parametrize("sha256", ["/tmp/model", "../../../victim", "..", "", "A" * 64])
def test_a_sha256_becomes_no_path_unless_it_is_one(store: Store, tmp_path: Path, sha256: str) -> None:
    """With such a row, pruning moved files from outside into the quarantine."""
    (tmp_path / "victim.safetensors").write_text("mine")
    id_ = put(store)
    file_of(store, id_).unlink()
    store.db.execute("UPDATE entries SET sha256 = ?", (sha256,))
    take_out_row(store, id_, "odd")
    assert store.quarantined() == {id_: "odd"} and not (store.folder / "quarantine").exists()
    id_ = put(store, 2)
    store.db.execute("UPDATE entries SET sha256 = ?", (sha256,))
    assert store.delete([id_]) == [id_] and (tmp_path / "victim.safetensors").exists()


def test_values_without_an_entry_go_only_if_asked_and_if_their_name_is_proven(tmp_path: Path) -> None:
    folder = old_memory(tmp_path)
    orphan = next(folder.rglob("6bff*"))
    fake = orphan.with_name(f"{orphan.name[:63]}{'0' if orphan.name[63] != '0' else '1'}.safetensors")
    fake.write_bytes(b"not what its name says")
    with pytest.raises(DamagedMemory, match="not in its database, such as 6bff"):
        maintenance.verify(folder)
    assert orphan.exists()
    found = maintenance.verify(folder, repair=True)
    assert set(found.orphans) == {orphan.stem, fake.stem} and found.set_aside == (orphan.stem,)
    assert not orphan.exists() and fake.exists() and (folder / "quarantine" / orphan.name).exists()
    assert found.entries == 4 and not found.quarantined
    found = maintenance.verify(folder)
    assert found.orphans == (fake.stem,) and not found.set_aside and not found.clean and fake.exists()
    assert len(found.strange) == 1 and found.strange[0].startswith("6b/.part-")
    fake.unlink()
    assert maintenance.verify(folder).clean


@pytest.mark.parametrize("meanwhile", ["taken", "removed"])
def test_what_gets_an_entry_meanwhile_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """--repair once decided and removed without the write lock, so that entries of other processes lost their value."""
    source, folder = old_memory(tmp_path / "a"), tmp_path / "m"
    merging.merge([source], folder)
    with Store(folder) as store:
        entry = get(store, 1)
        data = file_of(store, 1).read_bytes()
        store.delete([1])
    path = folder / "values" / entry.sha256[:2] / f"{entry.sha256}.safetensors"
    path.parent.mkdir(exist_ok=True)
    with Store(folder) as other:
        path.write_bytes(data)  # an orphan
        real = maintenance.find_orphans

        def late(store: Store) -> object:
            found = real(store)
            if meanwhile == "taken":
                other.take(entry, data)
            else:
                other.db.execute("INSERT INTO removed VALUES (?)", (entry.sha256,))
            return found

        monkeypatch.setattr(maintenance, "find_orphans", late)
        monkeypatch.setattr("ttom.memory.recovery.check_known", lambda *_, **__: None)
        found = maintenance.verify(folder, repair=True)
        assert found.orphans == (entry.sha256,) and not found.set_aside and path.exists()
        assert meanwhile == "removed" or other.state(get(other, other.ids()[-1]))


def test_an_entry_that_another_process_has_changed_stays(store: Store) -> None:
    id_ = put(store)
    old = get(store, id_)
    store.replace(id_, state(2), loss_after=None)
    assert take_out_entry(store, old, "missing") is False and store.ids() == [id_] and not store.quarantined()
    store.delete([id_])
    assert take_out_entry(store, old, "missing") is False and not (store.folder / "quarantine").exists()


def test_the_row_of_an_intact_value_is_not_taken_out(store: Store) -> None:
    id_ = put(store)
    store.db.execute("UPDATE entries SET uses = 'many'")
    with pytest.raises(DamagedMemory, match="entry 1, odd"):
        take_out_row(store, id_, "odd")
    assert store.ids() == [id_] and not store.quarantined()
    file_of_1 = next((store.folder / "values").rglob("*.safetensors"))
    file_of_1.write_bytes(b"damaged")
    take_out_row(store, id_, "odd")
    assert not store.ids() and store.quarantined() == {id_: "odd"} and file_of_1.exists()
