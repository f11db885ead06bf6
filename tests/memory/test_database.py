"""Opening a database: what lies in its place or beside it, and when it is checked."""

from __future__ import annotations

import faulthandler
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.memory.memories import new, put
from ttom.errors import UserError
from ttom.memory import copying, database, maintenance, rebuild
from ttom.memory.files import DamagedMemory
from ttom.memory.merging import merge
from ttom.memory.store import Store


def test_an_unclean_end_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    real = database.check_integrity
    monkeypatch.setattr(database, "ALWAYS_CHECKED", 0)
    monkeypatch.setattr(database, "check_integrity", lambda db, folder: (seen.append(folder), real(db, folder)))
    store = new(tmp_path / "m")
    put(store)
    store.close()
    Store(tmp_path / "m").close()
    assert not seen
    store = Store(tmp_path / "m")
    store.db.execute("BEGIN IMMEDIATE")
    store.db.execute("UPDATE entries SET uses = 1")
    journal = tmp_path / "m" / "entries.sqlite-journal"
    saved = journal.read_bytes()
    store.db.execute("ROLLBACK")
    store.close()
    assert saved
    journal.write_bytes(saved)  # as a killed process leaves it
    Store(tmp_path / "m").close()
    assert seen == [tmp_path / "m"]


def test_a_link_in_place_of_the_database_is_not_followed(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    path = tmp_path / "m" / "entries.sqlite"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    for read_only in (True, False):
        with pytest.raises(Exception, match="not a regular file"):
            Store(tmp_path / "m", read_only=read_only)
    assert (tmp_path / "elsewhere").read_bytes() == before


def test_a_database_that_is_far_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    monkeypatch.setattr(copying, "MAX_BYTES", 1000)
    with pytest.raises(Exception, match="is not a database of a memory"):
        Store(tmp_path / "m", read_only=True)
    path = tmp_path / "m" / "entries.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE entries")
    monkeypatch.undo()
    with pytest.raises(DamagedMemory, match="empty database"):
        Store(tmp_path / "m", read_only=True)


@pytest.fixture
def bounded() -> Iterator[None]:
    """Ends the process if a test hangs, since SQLite does not let go of a FIFO for a signal."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("kind", ["FIFO", "link", "folder"])
@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
def test_what_lies_beside_the_database_must_be_a_file(tmp_path: Path, kind: str, end: str, bounded: None) -> None:
    """A FIFO made writers wait for ever, and the target of a link was truncated."""
    with new(tmp_path / "m") as store:
        put(store)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine" * 1000)
    path = tmp_path / "m" / f"entries.sqlite{end}"
    path.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(victim)
    else:
        path.mkdir()
    acts = [Store, maintenance.verify, rebuild.rebuild]
    if end != "-shm":  # never copied
        acts += [lambda folder: Store(folder, read_only=True), lambda folder: merge([folder], tmp_path / "target")]
    for act in acts:
        with pytest.raises(UserError):
            act(tmp_path / "m")
    assert victim.read_bytes() == b"mine" * 1000 and os.path.lexists(path)
    with pytest.raises(UserError, match="not a regular file"):
        Store(tmp_path / "m")
    with pytest.raises(UserError):
        database.create(tmp_path / "m" / "entries.sqlite")


def test_a_journal_that_names_another_file_does_not_remove_it(tmp_path: Path) -> None:
    """SQLite deletes the super-journal that a journal names: merging such a memory deleted a foreign file."""
    folder, victim = tmp_path / "m", tmp_path / "victim.txt"
    with new(folder) as store:
        for number in range(20):
            put(store, number, prompt=f"{'x' * 3000} {number}")
    child = os.fork()
    if child == 0:
        db = sqlite3.connect(folder / "entries.sqlite", isolation_level=None)
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE entries SET prompt = upper(prompt)")
        os._exit(1)
    os.waitpid(child, 0)
    journal = folder / "entries.sqlite-journal"
    clean, name = journal.read_bytes(), os.fsencode(victim)
    page, end = 0x40000000 // 4096 + 1, struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    evil = clean + struct.pack(">I", page) + name + end
    victim.write_text("mine")
    acts = [
        lambda: merge([folder], tmp_path / "target"), lambda: Store(folder, read_only=True), lambda: Store(folder)
    ]  # fmt: skip
    for act in acts:
        journal.write_bytes(evil)
        with pytest.raises(DamagedMemory, match="names another file"):
            act()
        assert victim.exists()
    assert rebuild.rebuild(folder).entries == 20 and victim.exists()


@pytest.mark.parametrize("kind", ["link", "foreign", "empty", "ours"])
def test_a_database_that_is_there_when_a_memory_is_created(tmp_path: Path, kind: str) -> None:
    """A link was followed, and the journal mode of the database at its end changed."""
    folder, foreign = tmp_path / "m", tmp_path / "foreign"
    folder.mkdir()
    (folder / "memory.lock").touch()  # as a crash during creation leaves it
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE mine (x)")
    before = foreign.read_bytes()
    path = folder / "entries.sqlite"
    if kind == "link":
        path.symlink_to(foreign)
    elif kind == "foreign":
        path.write_bytes(before)
    elif kind == "empty":
        path.touch()
    else:
        database.create(path)
    if kind in ("link", "foreign"):
        with pytest.raises(UserError, match="not a regular file|has an empty database|foreign schema"):
            new(folder)
        assert path.read_bytes() == before == foreign.read_bytes()
    else:
        with new(folder) as store:
            put(store)
