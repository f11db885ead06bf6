"""A database is copied while others write to it, without taking their locks and without following anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory.memories import (
    contents,
    put,
)
from ttom.errors import UserError
from ttom.memory import copying
from ttom.memory.store import Store


def test_a_reader_in_the_same_process_does_not_take_the_writers_locks_away(store: Store) -> None:
    """SQLite's locks are gone when any handle of the file is closed: another process would then remove our log."""
    put(store)
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 1
    code = (
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n"
        "db.execute('SELECT count(*) FROM entries').fetchone()\ndb.close()"
    )
    subprocess.run([sys.executable, "-c", code, store.folder / "entries.sqlite"], check=True)
    put(store)  # goes to the log; if the other process has removed that, nobody else will ever see it
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2


def test_a_transaction_that_was_cut_off_is_rolled_back_by_readers_and_writers(store: Store, tmp_path: Path) -> None:
    ids = [put(store, i, prompt="p" * 3000) for i in range(30)]
    store.db.execute("PRAGMA cache_size = 2")  # so that SQLite writes to the database before the commit
    store.db.execute("BEGIN IMMEDIATE")
    store.db.execute("UPDATE entries SET prompt = upper(prompt)")
    copy = tmp_path / "copy"
    shutil.copytree(store.folder, copy)  # as a kill would leave it
    store.db.execute("ROLLBACK")
    assert (copy / "entries.sqlite-journal").stat().st_size > 0
    assert b"PPPPP" in (copy / "entries.sqlite").read_bytes()
    before = contents(copy)
    with Store(copy, read_only=True) as frozen:
        assert {entry.prompt[0] for entry in frozen.entries()} == {"p"} and frozen.ids() == ids
    assert contents(copy) == before
    with Store(copy) as again:
        assert {entry.prompt[0] for entry in again.entries()} == {"p"}


def test_descriptors_are_kept_as_long_as_a_connection_is_open(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"x" * 5000)
    file = copying.WRITERS.enter(path)
    again = copying.WRITERS.enter(path)
    copying.copy(path, tmp_path / "one")
    parked = copying.WRITERS.parked(file)
    assert parked is not None and os.fstat(parked).st_ino == file[1]
    copying.copy(path, tmp_path / "two")  # by the same descriptor
    assert copying.WRITERS.parked(file) == parked and (tmp_path / "two").read_bytes() == b"x" * 5000
    copying.WRITERS.leave(again)
    assert copying.WRITERS.parked(file) == parked
    copying.WRITERS.leave(file)
    assert copying.WRITERS.parked(file) is None
    with pytest.raises(OSError):
        os.fstat(parked)


def test_only_regular_files_are_copied_and_nothing_is_overwritten(tmp_path: Path) -> None:
    copying.copy(tmp_path / "missing", tmp_path / "target")
    assert copying.state(tmp_path / "missing") is None and not (tmp_path / "target").exists()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match="is not a database"):
        copying.copy(tmp_path / "fifo", tmp_path / "target")
    (tmp_path / "db").write_bytes(b"new")
    (tmp_path / "link").symlink_to(tmp_path / "db")
    with pytest.raises(OSError):
        copying.copy(tmp_path / "link", tmp_path / "target")
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "target").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        copying.copy(tmp_path / "db", tmp_path / "target")
    assert (tmp_path / "victim").read_bytes() == b"mine"
