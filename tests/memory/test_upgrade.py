"""Memories of earlier versions are upgraded when they are first opened for writing, whatever interrupts that."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from experiments.faults import old
from tests.memory.memories import (
    contents,
    get,
    memory_of_version_2,
    number,
    old_memory,
    put,
)
from ttom.errors import SetupError
from ttom.memory import files
from ttom.memory.files import VERSION, DamagedMemory
from ttom.memory.locks import Presence
from ttom.memory.maintenance import verify
from ttom.memory.merging import merge
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store
from ttom.memory.value_format import decode
from ttom.memory.values import ValueFolder


def test_an_old_memory_is_read_as_it_is_and_written_as_a_new_one(tmp_path: Path) -> None:
    folder = old_memory(tmp_path)
    before = contents(folder)
    with Store(folder, read_only=True) as frozen:
        assert [entry.key for entry in frozen.entries()] == [f"<object A> moves {i}" for i in range(4)]
        assert [entry.uses for entry in frozen.entries()] == [1, 2, 0, 0]
        assert all(frozen.state(entry) for entry in frozen.entries())
    assert contents(folder) == before
    orphan = next(f for f in folder.rglob("6bff*"))
    with pytest.raises(DamagedMemory, match="not in its database"):
        Store(folder)
    assert contents(folder).items() >= before.items() and contents(folder).keys() - before.keys() <= {"memory.lock"}
    orphan.rename(tmp_path / "elsewhere")
    old_files = {path.name for path in folder.rglob("*.safetensors")}
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION
        assert [id_ for id_, _ in store.least_used()] == [3, 4, 1, 2]
        assert {entry.namespace for entry in store.entries()} == {"default", "ann"}
        for entry in store.entries():
            data = store.values.read(entry.sha256)
            record = decode(data).stored
            assert record is not None and record.record.differs(entry) is None and len(data) == entry.bytes
        assert not old_files & {path.name for path in folder.rglob("*.safetensors")}
        one, other = get(store, 1).sha256, get(store, 4).sha256  # they had shared one
        assert store.delete([1]) == [1] and not store.values.exists(one) and store.values.exists(other)
    (folder / "entries.sqlite").unlink()
    assert rebuild(folder).entries == 3
    assert old.entries(folder).keys() == {"a cat moves 1", "a cat moves 2", "a cat moves 3"}
    assert verify(folder).clean


@pytest.mark.parametrize("where", ["change_value", "place", "sweep", "describe", "_note_removed"])
@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_an_interrupted_upgrade_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, when: int
) -> None:
    folder = old_memory(tmp_path, orphan=False)
    wanted, real, calls = old.entries(folder), getattr(Store, where), iter(range(100))

    def crash(self: Store, *arguments: object, **named: object) -> object:
        if next(calls) + 1 == (when if where != "describe" else 1):
            raise KeyboardInterrupt
        return real(self, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, where, crash)
        Store(folder)
    assert old.entries(folder) == wanted
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION
        assert all(decode(store.values.read(entry.sha256)).stored for entry in store.entries())
    assert old.entries(folder) == wanted and verify(folder).clean


def test_on_a_full_disk_an_old_memory_can_still_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_memory(tmp_path, orphan=False)
    wanted = old.entries(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.values.write_all", full)
        with Store(folder) as store:
            assert store.meta["version"] == 1 and store.delete([2]) == [2]
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION and store.ids() == [1, 3, 4]
    del wanted["a cat moves 1"]
    assert old.entries(folder) == wanted and verify(folder).clean


def test_a_memory_of_version_2_is_upgraded_without_rewriting_its_values(tmp_path: Path) -> None:
    folder = memory_of_version_2(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    with Store(folder) as store:
        found = list(store.entries())
        assert [entry.uses for entry in found] == [0, 1, 0] and [entry.loss_after for entry in found] == [
            0,
            0.25,
            0.125,
        ]
        assert [number(store, entry) for entry in found] == [0, 1, 9] and found[1].origin == "job 1"
        put(store, prompt="new")
    assert files.items() <= {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}.items()
    assert verify(folder).entries == 4


def test_a_memory_of_version_2_is_upgraded_only_if_nobody_else_writes_to_it(tmp_path: Path) -> None:
    folder = memory_of_version_2(tmp_path)
    before = (folder / "entries.sqlite").read_bytes()
    other = Presence(folder)
    other.share()
    with pytest.raises(SetupError, match="is of version 2 and open"):
        Store(folder)
    assert (folder / "entries.sqlite").read_bytes() == before and '"version": 2' in (folder / "memory.json").read_text()
    other.close()
    with Store(folder) as store:
        assert len(store) == 3


def test_values_that_version_2_merged_without_records_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, folder = old_memory(tmp_path / "a", orphan=False), tmp_path / "m"
    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.store.with_record", lambda data, *_, **__: data)
        merge([source], folder)
    (folder / "memory.json").write_text((folder / "memory.json").read_text().replace(f": {VERSION}", ": 2"))
    with closing(sqlite3.connect(folder / "entries.sqlite")) as db:
        db.execute("PRAGMA user_version = 2")
    wanted = old.entries(folder)
    with Store(folder) as store:
        assert len(store) == 4 and store.meta["version"] == VERSION
    (folder / "entries.sqlite").unlink()
    assert rebuild(folder).entries == 4 and old.entries(folder) == wanted


def test_only_headers_of_values_with_records_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade must not read hundreds of gigabytes."""
    folder = memory_of_version_2(tmp_path)

    def whole(*_: object) -> bytes:
        raise AssertionError("read as a whole")

    with monkeypatch.context() as patch:
        patch.setattr(ValueFolder, "read", whole)
        Store(folder).close()
    assert f'"version": {VERSION}' in (folder / "memory.json").read_text()
