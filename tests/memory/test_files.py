"""Disk and SQLite errors in plain words, each of a kind that stops a stream."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ttom.errors import SetupError, UserError
from ttom.memory.files import DamagedMemory, memory_errors, read_meta, write_meta


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk full"), (errno.EDQUOT, "disk full"), (errno.EFBIG, "disk full"), (errno.EACCES, "mode=read"),
     (errno.EIO, "cannot be used")],
)  # fmt: skip
def test_errors_of_the_disk(number: int, words: str) -> None:
    with pytest.raises(SetupError, match=words) as caught, memory_errors(Path("m")):
        raise OSError(number, os.strerror(number))
    assert "the memory m" in str(caught.value)


def test_errors_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"no database" * 1000)
    with closing(sqlite3.connect(path)) as db, pytest.raises(DamagedMemory, match="rebuild"), memory_errors(tmp_path):
        db.execute("SELECT * FROM sqlite_master").fetchall()
    path.unlink()
    with closing(sqlite3.connect(path, timeout=0)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("CREATE TABLE t (x)")
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(SetupError, match="locked by another process"), memory_errors(tmp_path):
            other.execute("BEGIN IMMEDIATE")
        one.execute("ROLLBACK")
        one.execute("PRAGMA max_page_count = 2")
        with pytest.raises(SetupError, match="disk full"), memory_errors(tmp_path):
            one.execute("INSERT INTO t VALUES (zeroblob(100000))")
    with pytest.raises(UserError, match="mine"), memory_errors(tmp_path):
        raise UserError("mine")


@pytest.mark.parametrize(
    "change",
    [{"embedder": "a\x1b[31m"}, {"embedder": ""}, {"embedder": "x" * 5000}, {"dimension": 0}, {"dimension": True},
     {"dimension": 10**9}, {"version": 0}, {"version": "2"}],
)  # fmt: skip
def test_descriptions_that_no_memory_has(tmp_path: Path, change: dict) -> None:
    meta = write_meta(tmp_path, "e", 4)
    assert read_meta(tmp_path) == meta
    (tmp_path / "memory.json").write_text(json.dumps(meta | change))
    with pytest.raises(UserError, match="does not describe a memory") as caught:
        read_meta(tmp_path)
    assert "\x1b" not in str(caught.value)
