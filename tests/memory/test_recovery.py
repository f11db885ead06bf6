"""What killed processes leave is completed, what is damaged or foreign stops writers, and nothing else is touched."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.faults import old
from tests.memory.memories import (
    contents,
    file_of,
    get,
    new,
    number,
    put,
)
from ttom.errors import UserError
from ttom.memory.files import DamagedMemory
from ttom.memory.maintenance import verify
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store


def test_a_folder_of_somebody_elses_values_is_refused_and_left_alone(tmp_path: Path) -> None:
    """`ttom generate --memory.path work` deleted work/values/run1/data.csv."""
    work = tmp_path / "work"
    (work / "values" / "run1").mkdir(parents=True)
    (work / "values" / "run1" / "data.csv").write_text("1,2,3")
    before = contents(work)
    with pytest.raises(UserError, match="is not a memory"):
        new(work)
    (work / "values" / "run1" / "data.csv").rename(work / "entries.sqlite")
    (work / "values" / "run1").rmdir()
    with pytest.raises(UserError, match="is not a memory"):
        new(work)
    assert [path.name for path in work.iterdir() if path.is_file()] == ["entries.sqlite"] and len(before) == 1


def test_an_interrupted_creation_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("ttom.memory.database.create", "ttom.memory.store.write_meta"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(place, crash)
            new(tmp_path / "m")
    with new(tmp_path / "m") as store:
        put(store)
    (tmp_path / "m" / "memory.json").unlink()
    with pytest.raises(DamagedMemory, match="lost its memory.json"):  # not an empty memory on top of the values
        new(tmp_path / "m", embedder="another")


def test_files_that_no_memory_makes_stay(store: Store) -> None:
    put(store)
    values = store.folder / "values"
    (values / "00").mkdir(exist_ok=True)
    strange = [values / "notes.txt", values / "00" / "model.safetensors", values / "00" / f"{'1' * 64}.safetensors"]
    for path in strange:
        path.write_text("mine")
    store.close()
    with Store(store.folder) as again:
        again.delete(again.ids())
    assert all(path.read_text() == "mine" for path in strange)


def test_a_value_whose_row_was_committed_is_used_under_its_temporary_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between commit and rename: the entry is there, for readers as for the next writer."""
    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.values.Placement.place", lambda _: True)
        id_ = put(store, 7)
    assert not file_of(store, id_).exists()
    with Store(store.folder, read_only=True) as frozen:
        assert number(frozen, get(frozen, id_)) == 7
    assert number(store, get(store, id_)) == 7
    store.close()
    with Store(store.folder) as again:
        assert file_of(again, id_).exists() and not again.values.look_through().parts


def test_unfinished_files_go_when_their_writer_is_gone_and_not_before(store: Store) -> None:
    """A process id says nothing in another container (PID namespace); a lock does."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom ttom.memory.values import ValueFolder\n"
        "with ValueFolder(Path(sys.argv[1])).placing(b'half') as part:\n"
        "    print(part.name, flush=True)\n    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, store.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    Store(store.folder).close()
    assert [part for _, part in store.values.look_through().parts] == [name]
    child.kill()
    child.wait()
    Store(store.folder).close()
    assert not store.values.look_through().parts


def lose(folder: Path) -> None:
    (folder / "entries.sqlite").unlink()


def empty(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"")


def scribble(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 50)


def truncate(folder: Path) -> None:
    path = folder / "entries.sqlite"
    path.write_bytes(path.read_bytes()[:-5000])


def set_back(folder: Path) -> None:
    """As an old copy does, or the loss of the log."""
    with sqlite3.connect(folder / "entries.sqlite") as db:
        db.execute("DELETE FROM entries WHERE id = 2")


def add_trigger(folder: Path) -> None:
    with sqlite3.connect(folder / "entries.sqlite") as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END")


@pytest.mark.parametrize("damage", [lose, empty, scribble, truncate, set_back, add_trigger])
def test_a_damaged_database_stops_writers_and_costs_no_value(store: Store, damage: Callable[[Path], None]) -> None:
    for i in range(3):
        put(store, i)
    store.close()
    before = {name: what for name, what in contents(store.folder).items() if name.startswith("values")}
    damage(store.folder)
    for _ in range(2):
        with pytest.raises(DamagedMemory, match="ttom memory rebuild"):
            Store(store.folder)
        with pytest.raises(UserError):
            new(store.folder)
    after = {name: what for name, what in contents(store.folder).items() if name.startswith("values")}
    assert after == before


def test_a_lost_log_of_version_1_stops_writers(store: Store) -> None:
    """Version 1 wrote to a log, which a killed process leaves behind; if that is deleted, its commits are gone."""
    put(store)
    put(store, 5)
    store.close()
    code = (
        "import os, sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n"
        "row = db.execute('SELECT * FROM entries WHERE id = 2').fetchone()\n"
        "db.execute('DELETE FROM entries WHERE id = 2')\ndb.commit()\ndb.execute('PRAGMA journal_mode = WAL')\n"
        "db.execute(f\"INSERT INTO entries VALUES ({', '.join('?' * len(row))})\", row)\ndb.commit()\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, store.folder / "entries.sqlite"], check=True)
    log = store.folder / "entries.sqlite-wal"
    saved = log.read_bytes()
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2
    log.unlink()
    with pytest.raises(DamagedMemory, match="not in its database"):
        Store(store.folder)
    assert len(list((store.folder / "values").rglob("*.safetensors"))) == 2
    log.write_bytes(saved)
    with Store(store.folder) as again:
        assert len(again) == 2 and not log.exists()


@pytest.mark.parametrize("damage", ["deleted", "emptied", *range(10)])
def test_a_damaged_log_of_a_real_old_memory_stops_writers(tmp_path: Path, damage: str | int) -> None:
    """Its values have no record: the next writer once went on with one of four entries, without a word."""
    folder = old.unpack_logged(tmp_path)
    wanted, log = old.entries(folder), folder / old.LOG
    assert len(wanted) == 4
    saved = bytearray(log.read_bytes())
    if damage == "deleted":
        log.unlink()
    else:
        flipped = bytearray() if damage == "emptied" else bytearray(saved)
        if flipped:
            rng = np.random.default_rng(damage)
            flipped[int(rng.integers(len(flipped)))] ^= 1 << int(rng.integers(8))
        log.write_bytes(flipped)
    before = {name: what for name, what in contents(folder).items() if name != "memory.lock"}
    for act in (Store, verify):
        with pytest.raises(DamagedMemory, match="not in its database"):
            act(folder)
    assert {name: what for name, what in contents(folder).items() if name != "memory.lock"} == before
    lost = tmp_path / "lost"
    shutil.copytree(folder, lost)
    log.write_bytes(saved)  # the log has been found
    with Store(folder) as store:
        assert len(store) == 4
    assert old.entries(folder) == wanted
    done = rebuild(lost)  # it has not
    assert 1 <= len(done.set_aside) <= 2 and done.entries + len(done.set_aside) in (3, 4)  # two entries had one value
    assert old.on_disk(lost) == set(wanted.values()) and (lost / "quarantine" / "entries-1.sqlite").exists()
    Store(lost).close()
