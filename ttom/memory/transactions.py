"""Transactions on a memory: rows and files change together, in an order that leaves them consistent at any point."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import SetupError, UserError
from ttom.memory.entries import MAX_NAME, Record, as_row
from ttom.memory.files import DamagedMemory, memory_errors, read_meta, write_meta
from ttom.memory.rows import Rows
from ttom.memory.values import Placement, ValueFolder

if TYPE_CHECKING:
    from ttom.memory.calibration import Calibration

UNFINISHED = "unfinished reindex to"
"""Prefix of the embedder's name while a memory is being reindexed. No embedder has such a name, so none matches."""


class Transactions(Rows):
    """A memory that is open; `Store` opens it.

    Args:
        folder: The memory.
        meta: What memory.json said.
        read_only: Never write.
    """

    def __init__(self, folder: Path, meta: dict[str, Any], *, read_only: bool) -> None:
        self.folder, self.meta, self.read_only = folder, meta, read_only
        self.values = ValueFolder(folder)

    @property
    def embedder(self) -> str:
        """Identity of the keys: of the text embedder alone, or see `KeyMaker.identity`."""
        return self.meta["embedder"]

    @property
    def dimension(self) -> int:
        return self.meta["dimension"]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that holds the write lock."""
        if self.read_only:
            raise ValueError("the memory is open for reading")
        with memory_errors(self.folder):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself when the disk is full.
                if self.db.in_transaction:
                    with suppress(sqlite3.DatabaseError):
                        self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def placing(self, data: bytes) -> Iterator[Placement]:
        """Write a value's file; however this ends, the file stays if a row needs it."""
        if self.read_only:
            raise ValueError("the memory is open for reading")
        with memory_errors(self.folder), self.values.placing(data) as placed:
            try:
                yield placed
            finally:
                # An interrupt may arrive right after a commit. If in doubt, the next writer decides.
                placed.keep = True
                with suppress(sqlite3.DatabaseError):
                    placed.keep = self.needs(placed.sha256)

    def place(self, placed: Placement) -> None:
        """Rename a value whose row was committed, unless another process has deleted the row in the meantime.

        Raises DamagedMemory if the file has vanished.
        """
        with self.writing():
            if self.needs(placed.sha256) and not placed.place():
                raise DamagedMemory(self.folder, f"lost the value {placed.sha256[:12]} while it was written")

    def add(self, record: Record, placed: Placement, uses: int, last_used: float) -> int:
        """Insert the row of a value, within a transaction; returns its id."""
        self.check_keys()
        counters = {"uses": uses, "last_used": last_used, "turn": self._turn()}
        row = as_row(record, **counters, sha256=placed.sha256, bytes=placed.bytes)
        row.pop("id", None)
        # A merge may bring back a value that is about to be removed.
        self.db.execute("DELETE FROM removed WHERE sha256 = ?", (placed.sha256,))
        marks = ", ".join("?" * len(row))
        made = self.db.execute(f"INSERT INTO entries ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        assert made.lastrowid is not None
        return made.lastrowid

    def change_value(self, id_: int, data: bytes, *, only: str | None = None, **columns: Any) -> bool:
        """Replace the value of an entry, and columns; False if it no longer exists, or has not the value `only`."""
        with self.placing(data) as placed:
            with self.writing():
                # The row as it is now: another process may have replaced the value in the meantime.
                now = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
                changed = now is not None and only in (None, now[0])
                if changed:
                    columns |= {"sha256": placed.sha256, "bytes": placed.bytes}
                    marks = ", ".join(f"{name} = ?" for name in columns)
                    self.db.execute(f"UPDATE entries SET {marks} WHERE id = ?", (*columns.values(), id_))
                    self._note_removed([now[0]])
            if changed:
                self.place(placed)
        self.sweep()
        return changed

    def sweep(self) -> None:
        """Delete the files listed as removed. If the disk refuses, the next writer tries again."""
        if self.db.execute("SELECT 1 FROM removed LIMIT 1").fetchone() is None:
            return
        with suppress(UserError), self.writing():
            for sha256 in self.removed_values():
                if not self.needs(sha256):
                    self.values.remove(sha256)
            self.db.execute("DELETE FROM removed")

    def check_keys(self) -> None:
        """Raise SetupError if another process has reindexed the memory since memory.json was read."""
        now = read_meta(self.folder)
        if (now["embedder"], now["dimension"]) != (self.embedder, self.dimension):
            raise SetupError(
                f"the memory {self.folder} has been reindexed with another embedder",
                expected=f"the embedder {self.embedder}",
                remedy="run again with its new embedder",
            )

    def describe(self, embedder: str, dimension: int, calibration: Calibration | None = None) -> None:
        """Write memory.json for the current version."""
        self.meta = write_meta(self.folder, embedder, dimension, calibration)

    def rekey(self, identity: str, dimension: int, embed: Callable[[int, str], np.ndarray]) -> int:
        """Replace all embeddings by those of another embedder; returns the number of entries.

        Args:
            identity, dimension: Of the new keys.
            embed: The new key of an entry, by its id and abstracted prompt.

        Rows and memory.json cannot change atomically. So memory.json first names an embedder that does not exist, then
        the rows are committed, and then it names the new one. After a crash in between, `Memory` refuses to open the
        memory until this has been repeated, and never compares vectors of two embedders. Processes that have the
        memory open check memory.json after reading rows and, under the write lock, before adding one (`check_keys`).
        """
        marker = f"{UNFINISHED} {identity}"[:MAX_NAME]
        with self.writing():
            rows = self.db.execute("SELECT id, key FROM entries").fetchall()
            vectors = ((np.ascontiguousarray(embed(id_, key), np.float32).tobytes(), id_) for id_, key in rows)
            self.db.executemany("UPDATE entries SET embedding = ? WHERE id = ?", vectors)
            self.describe(marker, self.dimension)
        with self.writing():
            self.check_keys()
            self.describe(identity, dimension)
        return len(rows)
