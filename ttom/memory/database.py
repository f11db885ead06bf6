"""The SQLite database of a memory: connections for writing or for reading a copy, and databases made from scratch."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ttom.errors import SetupError, UserError
from ttom.files import replace
from ttom.memory.copying import copy, state
from ttom.memory.entries import COLUMNS, MAX_DIMENSION, MAX_LAYOUT, MAX_TEXT
from ttom.memory.files import DamagedMemory
from ttom.memory.schema import SCHEMA, VERSION, check_integrity, check_schema, migrate, objects

NAME = "entries.sqlite"
JOURNALS = (f"{NAME}-journal", f"{NAME}-wal")
"""Files beside it that SQLite applies to it, the second one of version 1 only."""
BESIDE = (*JOURNALS, f"{NAME}-shm")
"""All files beside it that SQLite opens."""
REBUILT = "entries.rebuilt"
"""Name of a database that a rebuild has completed but not yet moved into place."""
BUSY_SECONDS = 60.0
"""How long a process waits for another process's write."""
MAX_FIELD = 4 * (MAX_LAYOUT + MAX_TEXT + MAX_DIMENSION)
"""Maximum size of a row in bytes."""
ALWAYS_CHECKED = 2**25
"""A database of up to this many bytes is checked whenever it is opened for writing and nobody else has it open."""
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal that belongs to a transaction over several databases."""


def create(path: Path) -> None:
    """Create an empty database, or complete one whose creation was interrupted.

    Raises DamagedMemory if it holds anything, UserError as `check_beside`.
    """
    check_beside(path.parent)
    if os.path.lexists(path):
        _check_regular(path)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        if objects(db):  # looked at before anything is changed
            check_schema(db, path.parent)
            if db.execute("SELECT 1 FROM entries").fetchone():
                raise DamagedMemory(path.parent, "has lost its memory.json")
            return
        _make_durable(db)
        db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.values():
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        db.close()


def check_writable(folder: Path) -> None:
    """Raise PermissionError if the folder cannot be written, SetupError if its folder of values is missing."""
    values = folder / "values"
    if values.is_symlink() or not values.is_dir():
        state = "a symbolic link in place of its" if values.is_symlink() else "lost its"
        raise SetupError(
            f"the memory {folder} has {state} folder of values",
            expected="the folder `values` with the files that its database refers to",
            remedy="restore the folder; without it no entry can be used",
        )
    for part in (values, folder):
        if not os.access(part, os.W_OK):
            raise PermissionError(errno.EACCES, "not writable", str(part))


def connect(folder: Path, *, alone: bool) -> sqlite3.Connection:
    """Connect for reading and writing.

    Args:
        folder: The memory.
        alone: Whether no other process has it open for writing. If so, the database is checked if it was not closed
            properly or is small.

    Raises:
        DamagedMemory: The database is missing, damaged, or not one of a memory.
        UserError: As for `check_beside`.
        OSError, sqlite3.DatabaseError: The disk or SQLite refuses.
    """
    path = folder / NAME
    _check_file(folder, path)
    check_beside(folder)
    unclean = any(_size(folder / name) for name in JOURNALS)
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _harden(db)
        _make_durable(db)
        version = check_schema(db, folder)
        if alone and (unclean or path.stat().st_size <= ALWAYS_CHECKED):
            check_integrity(db, folder)
        if version < VERSION:
            db.execute("BEGIN IMMEDIATE")
            if check_schema(db, folder) < VERSION:
                migrate(db)
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def connect_to_copy(folder: Path, target: Path) -> sqlite3.Connection:
    """Copy the database to the folder `target` and connect to the copy; opening the original could write to it.

    Raises:
        DamagedMemory: The same as for `connect`.
        UserError: Other processes never pause writing, or the database is far too large.
    """
    _check_file(folder, folder / NAME)
    db = open_copy(folder, target)
    try:
        if check_schema(db, folder) < VERSION:
            migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def open_copy(folder: Path, target: Path) -> sqlite3.Connection:
    """Like `connect_to_copy`, but without checking the schema."""
    names = (NAME, *JOURNALS)
    for _ in range(100):
        before = [state(folder / name) for name in names]
        for name in names:
            (target / name).unlink(missing_ok=True)
            copy(folder / name, target / name)
        if before == [state(folder / name) for name in names]:
            break
        time.sleep(0.05)  # another process wrote in the meantime
    else:
        raise UserError(f"other processes keep writing to {folder}", remedy="open it again later")
    check_beside(target, folder)
    db = sqlite3.connect(target / NAME, isolation_level=None)
    _harden(db)
    return db


def build(
    folder: Path,
    rows: Iterable[dict[str, Any]],
    quarantined: Iterable[tuple[Any, ...]],
    removed: Iterable[str],
    last_id: int,
) -> None:
    """Write a complete database under the name REBUILT."""
    part = folder / f".ttom-{secrets.token_hex(8)}"  # as ttom.files names what it may remove when it is stale
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN")
            for statement in SCHEMA.values():
                db.execute(statement)
            names = ", ".join(COLUMNS)
            marks = ", ".join(f":{name}" for name in COLUMNS)
            db.executemany(f"INSERT INTO entries ({names}) VALUES ({marks})", rows)
            db.executemany("INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?, ?)", quarantined)
            db.executemany("INSERT OR IGNORE INTO removed VALUES (?)", [(sha256,) for sha256 in removed])
            last = max(last_id, db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0])
            db.execute("DELETE FROM sqlite_sequence WHERE name = 'entries'")
            db.execute("INSERT INTO sqlite_sequence VALUES ('entries', ?)", (last,))
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        replace(part, folder / REBUILT)
    finally:
        part.unlink(missing_ok=True)


def check_rebuilt(folder: Path) -> None:
    """Raise UserError unless the file REBUILT, which is to replace the database, is a whole database of a memory."""
    path = folder / REBUILT
    try:
        _check_regular(path)
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as db:
            _harden(db)
            check_schema(db, folder)
            check_integrity(db, folder)
    except (sqlite3.DatabaseError, UnicodeDecodeError, UserError):
        raise UserError(
            f"{path} is not a database that a rebuild has made", expected="no such file", remedy="move it away"
        ) from None


def _make_durable(db: sqlite3.Connection) -> None:
    """Make commits durable before they return, even if the power fails.

    With a rollback journal, not a write-ahead log. Logs are a little faster, but SQLite before 3.51.3 can lose
    committed transactions when one process checkpoints the log while another one writes (the WAL-reset bug), they need
    shared memory, which network file systems lack, and a log that is deleted takes commits with it.
    """
    with suppress(sqlite3.OperationalError):  # a process of version 1 has it open: it stays a log until that ends
        db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute("PRAGMA synchronous = FULL")


def _size(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _harden(db: sqlite3.Connection) -> None:
    """Guard against hostile files: no functions in the schema, bounded rows, and invalid UTF-8 raises nothing."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_FIELD)
    db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


def check_beside(folder: Path, memory: Path | None = None) -> None:
    """Check the files beside a database that SQLite would open.

    SQLite would block on a FIFO, and truncate the target of a link. It would delete the file that a journal names as
    the super-journal of a transaction over several databases. Memories have no such transactions.

    Args:
        folder: Where they are.
        memory: The memory that they were copied from.

    Raises:
        UserError: One of them is not a regular file.
        DamagedMemory: The journal names another file.
    """
    for name in BESIDE:
        with suppress(FileNotFoundError):
            _check_regular(folder / name)
            if name == JOURNALS[0] and _end_of(folder / name) == _SUPER_JOURNAL:
                raise DamagedMemory(memory or folder, "has a journal that names another file")


def _end_of(path: Path) -> bytes:
    """The last 8 bytes of a journal; fewer if it is shorter."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 8))
        return file.read(8)


def _check_regular(path: Path) -> os.stat_result:
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode):
        raise UserError(f"{path} is not a regular file", expected="a regular file", remedy="put the file itself there")
    return info


def _check_file(folder: Path, path: Path) -> None:
    if os.path.lexists(folder / REBUILT):
        raise DamagedMemory(folder, "has an unfinished rebuild")
    try:
        info = _check_regular(path)
    except FileNotFoundError:
        raise DamagedMemory(folder, "has lost its database") from None
    if info.st_size == 0:
        raise DamagedMemory(folder, "has an empty database")
