"""Connections to a memory's SQLite file: to write, or to read without touching its folder."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path

from ttom.errors import UserError
from ttom.memory.entries import SCHEMA

NAME = "entries.sqlite"
BUSY_SECONDS = 60.0
"""How long a process waits for another one's write."""


def connect(folder: Path) -> sqlite3.Connection:
    """For reading and writing. Raises PermissionError if the folder cannot be written."""
    for part in ("values", "."):
        if not os.access(folder / part, os.W_OK):
            raise PermissionError(errno.EACCES, "not writable", str(folder / part))
    db = sqlite3.connect(folder / NAME, timeout=BUSY_SECONDS, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(SCHEMA)
    return db


def connect_to_copy(folder: Path, target: Path) -> sqlite3.Connection:
    """The entries as they are now, copied to the folder `target`: WAL readers write side files beside the base.

    Raises:
        UserError: If other processes never stop writing.
    """
    names = (NAME, f"{NAME}-wal")

    def state() -> list[tuple[int, int] | None]:
        files = [folder / name for name in names]
        return [(f.stat().st_mtime_ns, f.stat().st_size) if f.exists() else None for f in files]

    for _ in range(100):
        before = state()
        for name in names:
            (target / name).unlink(missing_ok=True)
            if (folder / name).exists():
                shutil.copyfile(folder / name, target / name)
        if state() == before:
            break
        time.sleep(0.05)  # another process wrote meanwhile
    else:
        raise UserError(f"{folder} is being written all the time", remedy="open it again later")
    db = sqlite3.connect(target / NAME, isolation_level=None)
    db.executescript(SCHEMA)
    return db


def is_ours(path: Path) -> bool:
    """Whether a file in a folder is what making a memory there leaves at any moment."""
    return path.name in ("values", "memory.json") or path.name.startswith((".part-", NAME))
